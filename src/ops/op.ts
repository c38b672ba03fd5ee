// What an op is: its name, its arguments, all of their checks, and how it records itself. Also the checks that ops
// share. Ops know tensors and the recorder; not threads, engines or addresses.
import { formatShape, TesseraeError } from '../base/errors.js';
import type { Recorder } from '../program/recorder.js';
import type { DType } from '../tensor/elements/dtype.js';
import { Tensor } from '../tensor/tensor.js';

/** What every op takes beside its own options. */
export interface CallOptions {
  /** Where the result goes: a tensor of the right shape and type, which stays the caller's. Without it a new one. */
  readonly out?: Tensor | undefined;
  /** Stops the op between two tiles; it then rejects with an AbortError. Not in recorded programs. */
  readonly signal?: AbortSignal | undefined;
}

export interface OutputSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/**
 * `Call` is the public parameter list, `Args` the same as one object. `infer` does all validation and gives the output;
 * `record` is then called only for outputs that have elements.
 */
export interface Op<Call extends unknown[], Args extends CallOptions> {
  readonly name: string;
  /** The keys that `Args` may have, beside those of CallOptions: any other is a mistake of the caller's. */
  readonly parameters: readonly string[];
  /** Whether the output may be this operand, in exactly its layout. */
  inPlace(operand: Tensor, args: Args): boolean;
  /** The options come last: an object of a known shape is then made in one go, with nothing left over. */
  args(...call: Call): Args;
  /** Every tensor that the op reads. */
  operands(args: Args): readonly (Tensor | undefined)[];
  infer(args: Args): OutputSpec;
  record(recorder: Recorder, args: Args, out: Tensor): void;
}

/** Any op, where its types do not matter. */
// biome-ignore lint/suspicious/noExplicitAny: the parameter lists of ops have nothing in common.
export type AnyOp = Op<any[], any>;

/** Lets TypeScript infer both type parameters from the definition. */
export function defineOp<Call extends unknown[], Args extends CallOptions>(op: Op<Call, Args>): Op<Call, Args> {
  return op;
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is a tensor, ERR_DTYPE unless it is of one of the types. */
export function checkTensor(value: unknown, op: string, name: string, ...allowed: DType[]): asserts value is Tensor {
  if (!(value instanceof Tensor)) {
    throw new TesseraeError('ERR_ARGUMENT', `${name} must be a tensor, got ${value === null ? 'null' : typeof value}`, {
      op,
    });
  }
  if (!allowed.includes(value.dtype)) {
    throw new TesseraeError('ERR_DTYPE', `${name} must be ${allowed.join(' or ')}, got ${value.toString()}`, { op });
  }
}

/** @throws TesseraeError ERR_SHAPE when the tensor has too few dimensions. */
export function checkRank(tensor: Tensor, op: string, name: string, least: number): void {
  if (tensor.rank >= least) return;
  throw new TesseraeError(
    'ERR_SHAPE',
    `${name} must have at least ${least} dimensions, got ${formatShape(tensor.shape)}`,
    { op },
  );
}

/** @throws TesseraeError ERR_SHAPE unless the shapes are equal. */
export function checkSameShape(tensor: Tensor, shape: readonly number[], op: string, name: string): void {
  if (tensor.rank === shape.length && tensor.shape.every((size, dim) => size === shape[dim])) return;
  throw new TesseraeError('ERR_SHAPE', `${name} must be ${formatShape(shape)}, got ${formatShape(tensor.shape)}`, {
    op,
  });
}

/** An optional vector of `length` elements, such as a bias. */
export function checkVector(
  value: unknown,
  op: string,
  name: string,
  length: number,
): asserts value is Tensor | undefined {
  if (value === undefined) return;
  checkTensor(value, op, name, 'f32');
  checkSameShape(value, [length], op, name);
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is a finite number (and above 0 if asked). */
export function checkNumber(
  value: unknown,
  op: string,
  name: string,
  { positive = false } = {},
): asserts value is number {
  if (typeof value === 'number' && Number.isFinite(value) && (!positive || value > 0)) return;
  const wanted = positive ? 'a positive number' : 'a finite number';
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${wanted}, got ${String(value)}`, { op });
}

/** Checks a flag; undefined counts as false. */
export function checkFlag(value: unknown, op: string, name: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be true or false, got ${String(value)}`, { op });
}

/** One of the keys of a table; undefined gives the fallback. */
export function checkChoice<T extends Record<string, number>>(
  value: unknown,
  table: T,
  fallback: keyof T & string,
  op: string,
  name: string,
): number {
  const key = value === undefined ? fallback : value;
  if (typeof key === 'string' && Object.hasOwn(table, key)) return table[key] as number;
  throw new TesseraeError(
    'ERR_ARGUMENT',
    `${name} must be one of ${Object.keys(table).join(', ')}, got ${String(value)}`,
    { op },
  );
}
