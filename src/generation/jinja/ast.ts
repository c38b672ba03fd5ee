// The syntax tree of a template, as the parser of @huggingface/jinja makes it: the package's own types do not resolve in a
// project of ES modules. Called by template.ts; the other files of this folder walk the tree.
import { parse, tokenize } from '@huggingface/jinja';
import { TemplateError } from './values.js';

export interface Name {
  readonly type: 'Identifier';
  readonly value: string;
}
export interface Call {
  readonly type: 'CallExpression';
  readonly callee: Expression;
  readonly args: readonly Argument[];
}
export interface KeywordArgument {
  readonly type: 'KeywordArgumentExpression';
  readonly key: Name;
  readonly value: Expression;
}
export interface Slice {
  readonly type: 'SliceExpression';
  readonly start?: Expression | undefined;
  readonly stop?: Expression | undefined;
  readonly step?: Expression | undefined;
}
export interface Member {
  readonly type: 'MemberExpression';
  readonly object: Expression;
  readonly property: Expression;
  readonly computed: boolean;
}
interface Operator {
  readonly value: string;
}
export type Parameter = Name | KeywordArgument;
export type Argument =
  | Expression
  | KeywordArgument
  | { readonly type: 'SpreadExpression'; readonly argument: Expression }
  | { readonly type: 'KeywordSpreadExpression'; readonly argument: Expression };
export type Expression =
  | Name
  | Call
  | Slice
  | Member
  | { readonly type: 'IntegerLiteral' | 'FloatLiteral'; readonly value: number }
  | { readonly type: 'StringLiteral'; readonly value: string }
  | { readonly type: 'ArrayLiteral' | 'TupleLiteral'; readonly value: readonly Expression[] }
  | { readonly type: 'ObjectLiteral'; readonly value: ReadonlyMap<Expression, Expression> }
  | {
      readonly type: 'BinaryExpression';
      readonly operator: Operator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly type: 'UnaryExpression'; readonly operator: Operator; readonly argument: Expression }
  | { readonly type: 'FilterExpression'; readonly operand: Expression; readonly filter: Name | Call }
  | { readonly type: 'TestExpression'; readonly operand: Expression; readonly negate: boolean; readonly test: Name }
  | { readonly type: 'SelectExpression'; readonly lhs: Expression; readonly test: Expression }
  | {
      readonly type: 'Ternary';
      readonly condition: Expression;
      readonly trueExpr: Expression;
      readonly falseExpr: Expression;
    };
export type Block = readonly Statement[];
export interface For {
  readonly type: 'For';
  readonly loopvar: Expression;
  readonly iterable: Expression;
  readonly body: Block;
  readonly defaultBlock: Block;
}
export interface Macro {
  readonly type: 'Macro';
  readonly name: Name;
  readonly args: readonly Parameter[];
  readonly body: Block;
}
export interface CallBlock {
  readonly type: 'CallStatement';
  readonly call: Call;
  readonly callerArgs: readonly Parameter[] | null;
  readonly body: Block;
}
export interface SetStatement {
  readonly type: 'Set';
  readonly assignee: Expression;
  readonly value: Expression | null;
  readonly body: Block;
}
export type Statement =
  | Expression
  | For
  | Macro
  | CallBlock
  | SetStatement
  | { readonly type: 'If'; readonly test: Expression; readonly body: Block; readonly alternate: Block }
  | { readonly type: 'FilterStatement'; readonly filter: Name | Call; readonly body: Block }
  | { readonly type: 'Break' | 'Continue' | 'Comment' };
export type Node = Statement | Argument;

/**
 * Parses a template. What `trim_blocks` and `lstrip_blocks` remove is removed here, as Jinja2 does it: the package also
 * removes blanks beside `{-` and `-}` in plain text.
 * @throws Error when it is not valid, or uses syntax that the parser does not support
 */
export function parseTemplate(source: string): Block {
  const lines = source.replace(/\r\n?/g, '\n');
  const trimmed = lines.endsWith('\n') ? lines.slice(0, -1) : lines;
  const text = trimmed
    .replace(/(^|\n)[^\S\n]+(?=\{[%#](?!\+))/g, '$1')
    .replace(/([%#]\})\n/g, '$1')
    .replace(/\{([%#])\+/g, '{$1');
  // It removes one line break at the end.
  const tokens = tokenize(`${text}\n`);
  checkComparisons(tokens);
  return (parse(tokens) as unknown as { readonly body: Block }).body;
}

interface Token {
  readonly type: string;
  readonly value: string;
}

const opening = ['OpenParen', 'OpenSquareBracket', 'OpenCurlyBracket', 'OpenExpression', 'OpenStatement'];
const closing = ['CloseParen', 'CloseSquareBracket', 'CloseCurlyBracket', 'CloseExpression', 'CloseStatement'];
const separating = ['Comma', 'Colon', 'Equals'];
const words = ['and', 'or', 'not', 'if', 'else', 'elif'];

/**
 * Refuses `a < b < c`, which the parser takes for `(a < b) < c`, as it does the same with parentheses.
 * @throws TemplateError
 */
function checkComparisons(tokens: readonly Token[]): void {
  // For each open bracket, whether its current operand is one of a comparison. The `in` of a loop counts: what it goes over is no
  // comparison, and a condition begins anew.
  const compared: boolean[] = [];
  for (const [i, { type, value }] of tokens.entries()) {
    const isWord = type === 'Identifier' && tokens[i - 1]?.type !== 'Dot';
    if (opening.includes(type)) compared.push(false);
    else if (closing.includes(type)) compared.pop();
    else if (type === 'ComparisonBinaryOperator' || (isWord && value === 'in')) {
      if (compared.at(-1)) throw new TemplateError('compares a comparison, which is not supported');
      compared[compared.length - 1] = true;
    } else if (separating.includes(type) || (isWord && words.includes(value) && tokens[i + 1]?.value !== 'in')) {
      compared[compared.length - 1] = false;
    }
  }
}
