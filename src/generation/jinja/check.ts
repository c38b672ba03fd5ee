// Refuses, when a template is loaded, what this engine does not compute as Jinja2 does, by its name: nothing that it renders
// differs silently. Called by template.ts.
import type { Block, Call, Expression, Name, Node } from './ast.js';
import { filterNames } from './builtins/filters.js';
import { methodNames } from './builtins/methods.js';
import { testNames, testsOfTwoNames } from './builtins/tests.js';
import { TemplateError } from './values.js';

/** Functions of Jinja2, or special variables of its macros, that are not supported. */
const missingNames = ['cycler', 'joiner', 'lipsum', 'varargs', 'kwargs', 'self', 'super'];
/** Filters of which the text would be escaped, or not, in what follows. */
const markupFilters = ['escape', 'e', 'forceescape', 'striptags', 'xmlattr', 'urlize', 'urlencode'];
const deepest = 500;

/** @throws TemplateError for what is not supported */
export function checkProgram(program: Block): void {
  const names = new Set<string>();
  visit(program, names, 0);
  for (const name of missingNames) {
    if (names.has(name)) throw new TemplateError(`uses ${name}, which is not supported`);
  }
}

function visit(value: unknown, names: Set<string>, depth: number): void {
  if (depth > deepest) throw new TemplateError(`is nested more than ${deepest} deep`);
  if (Array.isArray(value)) {
    for (const one of value) visit(one, names, depth + 1);
  } else if (value instanceof Map) {
    for (const pair of value) visit(pair, names, depth + 1);
  } else if (typeof value === 'object' && value !== null && 'type' in value) {
    check(value as Node, names);
    for (const child of childrenOf(value as Node)) visit(child, names, depth + 1);
  }
}

/** What is evaluated: the names of members, filters, tests and parameters are not. */
function childrenOf(node: Node): unknown[] {
  switch (node.type) {
    case 'MemberExpression':
      return node.computed ? [node.object, node.property] : [node.object];
    case 'FilterExpression':
      return [node.operand, node.filter.type === 'CallExpression' ? node.filter.args : undefined];
    case 'FilterStatement':
      return [node.body, node.filter.type === 'CallExpression' ? node.filter.args : undefined];
    case 'TestExpression':
      return [node.operand];
    case 'KeywordArgumentExpression':
      return [node.value];
    case 'Macro':
      return [node.args, node.body];
    default:
      return Object.values(node);
  }
}

function check(node: Node, names: Set<string>): void {
  switch (node.type) {
    case 'Identifier':
      names.add(node.value);
      break;
    case 'FilterStatement':
    case 'FilterExpression':
      checkFilter(node.filter);
      break;
    case 'TestExpression':
      if (!testNames.has(node.test.value))
        throw new TemplateError(`uses the test ${node.test.value}, which is not supported`);
      break;
    case 'CallExpression':
      checkCall(node);
      break;
    case 'Set':
      if (!isTarget(node.assignee)) throw new TemplateError('sets what is no variable, which is not supported');
      break;
  }
}

function checkFilter(filter: Name | Call): void {
  const name = filter.type === 'Identifier' ? filter.value : (filter.callee as Name).value;
  if (!filterNames.has(name)) {
    const kind = markupFilters.includes(name) ? 'the filter of HTML' : 'the filter';
    throw new TemplateError(`uses ${kind} ${name}, which is not supported`);
  }
  if (filter.type === 'Identifier') return;
  const [first, second] = filter.args;
  const named = ['selectattr', 'rejectattr'].includes(name) ? second : first;
  if (named?.type !== 'StringLiteral') return;
  const known = name === 'map' ? filterNames : new Set([...testNames, ...testsOfTwoNames]);
  if (['map', 'select', 'reject', 'selectattr', 'rejectattr'].includes(name) && !known.has(named.value)) {
    throw new TemplateError(`uses ${named.value} in the filter ${name}, which is not supported`);
  }
}

function checkCall({ callee }: Call): void {
  if (callee.type !== 'MemberExpression' || callee.computed || callee.property.type !== 'Identifier') return;
  const { object, property } = callee;
  const isOfLoop = object.type === 'Identifier' && object.value === 'loop';
  if (!methodNames.has(property.value) && !isOfLoop) {
    throw new TemplateError(`calls ${property.value}(), which is not supported`);
  }
}

function isTarget(node: Expression): boolean {
  if (node.type === 'TupleLiteral') return node.value.every(isTarget);
  if (node.type === 'MemberExpression') return !node.computed && node.property.type === 'Identifier';
  return node.type === 'Identifier';
}
