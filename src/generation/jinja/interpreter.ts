// Renders a template's syntax tree, with the scopes and the meaning that Jinja2 gives it. The deadline and the heap limit of
// the worker in which it runs end what takes too long or too much; runtime.ts limits what one operation makes. Called by
// template.ts.
import type {
  Argument,
  Block,
  Call,
  CallBlock,
  Expression,
  For,
  Macro,
  Name,
  Parameter,
  SetStatement,
  Statement,
} from './ast.js';
import { applyFilter, type FilterContext } from './builtins/filters.js';
import { testNamed } from './builtins/tests.js';
import { attribute, binary, item, slice, unary } from './operators.js';
import type { Runtime } from './runtime.js';
import {
  Callable,
  Dict,
  Float,
  integer,
  isTrue,
  type Keywords,
  Loop,
  Namespace,
  orUndefined,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

/**
 * What the filter `safe` gives: a text, but `+`, filters and methods escape the texts that they join to it. It is printed,
 * compared, joined by `~` and kept in a variable; all else is refused.
 */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Operators that take markup as they take any text. */
const asText = new Set(['~', '==', '!=', '<', '<=', '>', '>=', 'in', 'not in']);

const textIfMarkup = (value: Value | Markup): Value => (value instanceof Markup ? value.text : value);

/** Variables of a template, a loop or a macro; those of the enclosing scope are read through it. */
class Scope {
  readonly #parent: Scope | undefined;
  readonly #variables: Map<string, Value | Markup>;

  constructor(variables: Map<string, Value | Markup>, parent?: Scope) {
    this.#variables = variables;
    this.#parent = parent;
  }

  get(name: string): Value | Markup {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.#parent) {
      const value = scope.#variables.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}'`);
  }

  set(name: string, value: Value | Markup): void {
    this.#variables.set(name, value);
  }
}

type Ending = 'break' | 'continue' | undefined;

export class Interpreter {
  readonly #runtime: Runtime;
  readonly #context: FilterContext;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#context = { runtime, item: (object, key) => item(object, key, runtime) };
  }

  render(program: Block, variables: Map<string, Value>): string {
    const out: string[] = [];
    this.#block(program, new Scope(new Map(), new Scope(variables)), out);
    return this.#runtime.joined(out);
  }

  /** @returns whether a loop is to be left or continued */
  #block(block: Block, scope: Scope, out: string[]): Ending {
    for (const statement of block) {
      const ending = this.#statement(statement, scope, out);
      if (ending !== undefined) return ending;
    }
    return undefined;
  }

  #text(block: Block, scope: Scope): string {
    const out: string[] = [];
    this.#block(block, scope, out);
    return this.#runtime.joined(out);
  }

  #statement(statement: Statement, scope: Scope, out: string[]): Ending {
    switch (statement.type) {
      case 'Comment':
        return undefined;
      case 'Break':
        return 'break';
      case 'Continue':
        return 'continue';
      case 'If':
        return this.#block(this.#isTrue(statement.test, scope) ? statement.body : statement.alternate, scope, out);
      case 'For':
        this.#for(statement, scope, out);
        return undefined;
      case 'Set':
        this.#set(statement, scope);
        return undefined;
      case 'Macro':
        scope.set(statement.name.value, this.#macro(statement.name.value, statement, scope));
        return undefined;
      case 'CallStatement':
        out.push(this.#runtime.str(this.#callBlock(statement, scope)));
        return undefined;
      case 'FilterStatement':
        out.push(this.#print(this.#filter(this.#text(statement.body, scope), statement.filter, scope)));
        return undefined;
      default:
        out.push(this.#print(this.#any(statement, scope)));
        this.#runtime.elements(out.length / 8);
        return undefined;
    }
  }

  #for({ loopvar, iterable, body, defaultBlock }: For, scope: Scope, out: string[]): void {
    const isSelected = iterable.type === 'SelectExpression';
    const source = this.#value(isSelected ? iterable.lhs : iterable, scope);
    let items = this.#runtime.iterate(source);
    if (isSelected) {
      items = items.filter((one) => {
        const inner = new Scope(new Map(), scope);
        this.#assign(loopvar, one, inner);
        return this.#isTrue(iterable.test, inner);
      });
    }
    const loop = new Loop(items);
    // As in Jinja2, what counts is that a body has reached its end: `else` is also for loops that are left or continued each time.
    let isDone = false;
    for (const [index, one] of items.entries()) {
      loop.index = index;
      const inner = new Scope(new Map([['loop', loop]]), scope);
      this.#assign(loopvar, one, inner);
      const ending = this.#block(body, inner, out);
      if (ending === 'break') break;
      isDone ||= ending === undefined;
    }
    if (!isDone) this.#block(defaultBlock, new Scope(new Map(), scope), out);
  }

  #set({ assignee, value, body }: SetStatement, scope: Scope): void {
    if (value !== null && assignee.type === 'Identifier') scope.set(assignee.value, this.#any(value, scope));
    else if (value !== null) this.#assign(assignee, this.#value(value, scope), scope);
    else this.#assign(assignee, this.#text(body, new Scope(new Map(), scope)), scope);
  }

  #assign(target: Expression, value: Value, scope: Scope): void {
    if (target.type === 'Identifier') {
      scope.set(target.value, value);
    } else if (target.type === 'TupleLiteral') {
      if (value instanceof Undefined) throw value.error;
      const items = this.#runtime.iterate(value);
      if (items.length !== target.value.length) {
        throw new TemplateError(`unpacks ${items.length} values into ${target.value.length} variables`);
      }
      for (const [i, one] of target.value.entries()) this.#assign(one, items[i] as Value, scope);
    } else if (target.type === 'MemberExpression' && target.property.type === 'Identifier') {
      const object = this.#value(target.object, scope);
      if (!(object instanceof Namespace)) throw new TemplateError('sets a member of what is no namespace');
      object.members.set(target.property.value, value);
    } else {
      throw new TemplateError('sets what is no variable');
    }
  }

  #macro(name: string, { args, body }: Pick<Macro, 'args' | 'body'>, scope: Scope): Callable {
    return new Callable(name, (given, keywords) => {
      const inner = new Scope(new Map(), scope);
      if (given.length > args.length)
        throw new TemplateError(`the macro ${name} takes at most ${args.length} arguments`);
      const left = new Map(keywords);
      const caller = left.get('caller');
      if (caller !== undefined) inner.set('caller', caller);
      left.delete('caller');
      const missing: Parameter[] = [];
      for (const [i, parameter] of args.entries()) {
        const parameterName = parameter.type === 'Identifier' ? parameter.value : parameter.key.value;
        if (i < given.length && left.has(parameterName))
          throw new TemplateError(`the macro ${name} is given ${parameterName} twice`);
        const value = i < given.length ? given[i] : left.get(parameterName);
        left.delete(parameterName);
        inner.set(parameterName, orUndefined(value, `'${parameterName}'`));
        if (value === undefined) missing.push(parameter);
      }
      for (const [key] of left) throw new TemplateError(`the macro ${name} takes no argument ${key}`);
      for (const parameter of missing) {
        if (parameter.type !== 'Identifier') inner.set(parameter.key.value, this.#value(parameter.value, inner));
      }
      return this.#text(body, inner);
    });
  }

  #callBlock({ call, callerArgs, body }: CallBlock, scope: Scope): Value {
    const caller = this.#macro('caller', { args: callerArgs ?? [], body }, scope);
    return this.#call(call, scope, new Map([['caller', caller]]));
  }

  #call({ callee, args }: Call, scope: Scope, more?: Keywords): Value {
    const target = this.#value(callee, scope);
    if (target instanceof Undefined) throw target.error;
    if (!(target instanceof Callable))
      throw new TemplateError(`calls ${nameOf(callee)}, which is a ${typeName(target)}`);
    const [values, keywords] = this.#arguments(args, scope);
    return target.call(values, more === undefined ? keywords : new Map([...keywords, ...more]));
  }

  #arguments(args: readonly Argument[], scope: Scope): [Value[], Map<string, Value>] {
    const values: Value[] = [];
    const keywords = new Map<string, Value>();
    for (const one of args) {
      if (one.type === 'KeywordArgumentExpression') keywords.set(one.key.value, this.#value(one.value, scope));
      else if (one.type === 'SpreadExpression') values.push(...this.#runtime.iterate(this.#value(one.argument, scope)));
      else if (one.type === 'KeywordSpreadExpression') this.#spread(this.#value(one.argument, scope), keywords);
      else values.push(this.#value(one, scope));
    }
    return [values, keywords];
  }

  #spread(value: Value, keywords: Map<string, Value>): void {
    if (!(value instanceof Dict)) throw new TemplateError(`** needs a dictionary, not a ${typeName(value)}`);
    for (const [key, member] of value.entries.values()) {
      if (typeof key !== 'string') throw new TemplateError('** needs texts as keys');
      keywords.set(this.#runtime.plain(key), member);
    }
  }

  #filter(operand: Value | Markup, filter: Name | Call, scope: Scope): Value | Markup {
    const name = filter.type === 'Identifier' ? filter.value : (filter.callee as Name).value;
    if (operand instanceof Markup && name !== 'tojson' && name !== 'safe') throw markupError();
    const [values, keywords] = filter.type === 'Identifier' ? [[], new Map()] : this.#arguments(filter.args, scope);
    const value = applyFilter(name, textIfMarkup(operand), values, keywords, this.#context);
    return name === 'safe' ? new Markup(value as string) : value;
  }

  #isTrue(node: Expression, scope: Scope): boolean {
    return isTrue(textIfMarkup(this.#any(node, scope)));
  }

  #print(value: Value | Markup): string {
    return this.#runtime.str(textIfMarkup(value));
  }

  /** A value for an operation. */
  #value(node: Expression, scope: Scope): Value {
    const value = this.#any(node, scope);
    if (value instanceof Markup) throw markupError();
    return value;
  }

  #any(node: Expression, scope: Scope): Value | Markup {
    const runtime = this.#runtime;
    switch (node.type) {
      case 'Identifier':
        return scope.get(node.value);
      case 'StringLiteral':
        return node.value;
      case 'IntegerLiteral':
        return integer(node.value);
      case 'FloatLiteral':
        return new Float(node.value);
      case 'ArrayLiteral':
        return node.value.map((one) => this.#value(one, scope));
      case 'TupleLiteral':
        return new Tuple(node.value.map((one) => this.#value(one, scope)));
      case 'ObjectLiteral': {
        const dict = new Dict();
        for (const [key, value] of node.value) {
          const keyValue = this.#value(key, scope);
          dict.set(runtime.keyOf(keyValue), keyValue, this.#value(value, scope));
        }
        return dict;
      }
      case 'MemberExpression':
        return this.#member(node, scope);
      case 'CallExpression':
        return this.#call(node, scope);
      case 'FilterExpression':
        return this.#filter(this.#any(node.operand, scope), node.filter, scope);
      case 'TestExpression':
        return testNamed(node.test.value, 0)(textIfMarkup(this.#any(node.operand, scope)), runtime, []) !== node.negate;
      case 'UnaryExpression': {
        if (node.operator.value === 'not') return !this.#isTrue(node.argument, scope);
        return unary(node.operator.value, this.#value(node.argument, scope));
      }
      case 'BinaryExpression': {
        const operator = node.operator.value;
        if (operator === 'and' || operator === 'or') {
          const left = this.#any(node.left, scope);
          return isTrue(textIfMarkup(left)) === (operator === 'and') ? this.#any(node.right, scope) : left;
        }
        const operand = (one: Expression) =>
          asText.has(operator) ? textIfMarkup(this.#any(one, scope)) : this.#value(one, scope);
        return binary(operator, operand(node.left), operand(node.right), runtime);
      }
      case 'Ternary':
        return this.#any(this.#isTrue(node.condition, scope) ? node.trueExpr : node.falseExpr, scope);
      case 'SelectExpression':
        if (this.#isTrue(node.test, scope)) return this.#any(node.lhs, scope);
        return new Undefined('the value of an if without else');
      case 'SliceExpression':
        throw new TemplateError('has a slice that is of nothing');
    }
  }

  #member({ object, property, computed }: Extract<Expression, { type: 'MemberExpression' }>, scope: Scope): Value {
    const value = this.#value(object, scope);
    if (property.type === 'SliceExpression') {
      const part = (one: Expression | undefined) => (one === undefined ? null : this.#value(one, scope));
      return slice(value, part(property.start), part(property.stop), part(property.step), this.#runtime);
    }
    if (value instanceof Undefined) throw new TemplateError(`${nameOf(object)} is undefined`);
    if (!computed && property.type === 'Identifier') return attribute(value, property.value, this.#runtime);
    return item(value, this.#value(property, scope), this.#runtime);
  }
}

function markupError(): TemplateError {
  return new TemplateError('computes with what the filter safe gives, which is not supported');
}

/** A name as messages show an expression. */
function nameOf(expression: Expression): string {
  if (expression.type === 'Identifier') return `'${expression.value}'`;
  if (expression.type === 'MemberExpression' && !expression.computed && expression.property.type === 'Identifier') {
    return `'${expression.property.value}'`;
  }
  return 'a value';
}
