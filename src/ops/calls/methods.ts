// Makes methods of the ops in the registry: `engine.softmax(x)` computes, `p.softmax(x)` records. Called by Engine and
// ProgramBuilder for their prototypes.
import { unreadable } from '../../base/describe.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { AnyOp, Op } from '../op.js';
import { type Ops, ops } from '../registry.js';

/** A method for each op, with the op's parameters, that returns `Result`. */
export type OpMethods<Result> = {
  // biome-ignore lint/suspicious/noExplicitAny: only the parameter list is taken from the op.
  [Name in keyof Ops]: Ops[Name] extends Op<infer Call, any> ? (...call: Call) => Result : never;
};

export type EngineMethods = OpMethods<Promise<Tensor>>;
export type BuilderMethods = OpMethods<Tensor>;

/** The arguments as one object; an error instead if they throw when they are read. */
function argsOf(op: AnyOp, a: unknown, b: unknown, c: unknown, d: unknown): object {
  try {
    return op.args(a, b, c, d);
  } catch (cause) {
    return unreadable(cause, 'the arguments', op.name);
  }
}

/**
 * Defines the methods on a prototype; each calls `call` with its object, the op, and the op's arguments, or why they
 * cannot be read.
 */
export function defineOpMethods<Host extends object>(
  prototype: Host,
  call: (host: Host, op: AnyOp, args: object | Error) => unknown,
): void {
  for (const [name, op] of Object.entries(ops) as [string, AnyOp][]) {
    // No op has more than four parameters. A rest parameter would allocate an array at each call.
    const method = function (this: Host, a?: unknown, b?: unknown, c?: unknown, d?: unknown): unknown {
      return call(this, op, argsOf(op, a, b, c, d));
    };
    Object.defineProperty(method, 'name', { value: name });
    Object.defineProperty(prototype, name, { value: method, writable: true, configurable: true });
  }
}
