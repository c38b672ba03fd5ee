// What an op is: its name, its arguments with all their checks, and how it records its steps. Also the checks that ops
// share. Ops use tensors and the recorder, which says for how many workers they cut tiles; they have no access to the
// team, to engines, or to addresses.
import { describe } from '../base/describe.js';
import { formatShape, TesseraeError } from '../base/errors.js';
import type { Recorder } from '../program/recorder.js';
import type { DType } from '../tensor/elements/dtype.js';
import { Tensor } from '../tensor/tensor.js';

/** Options of every op. */
export interface CallOptions {
  /** A tensor of the result's shape and type that receives the result. By default a new one is made. */
  readonly out?: Tensor | undefined;
  /** Stops the op between two tiles; the call then rejects with an AbortError. Not for recorded ops. */
  readonly signal?: AbortSignal | undefined;
}

export interface OutputSpec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** `Call` is the public parameter list, `Args` the same as one object. */
export interface Op<Call extends unknown[], Args extends CallOptions> {
  readonly name: string;
  /** The keys that `Args` may have besides those of CallOptions; any other is refused. */
  readonly parameters: readonly string[];
  /** Whether the output may be this operand, with exactly its layout. */
  inPlace(operand: Tensor, args: Args): boolean;
  /** Makes the object. The options are spread last, so that V8 makes an object of a known shape in one step. */
  args(...call: Call): Args;
  /** Every tensor that the op reads. */
  operands(args: Args): readonly (Tensor | undefined)[];
  /** Validates the arguments and gives the shape and type of the output. */
  infer(args: Args): OutputSpec;
  /** Records the steps. Called after `infer`, and only for outputs that have elements. */
  record(recorder: Recorder, args: Args, out: Tensor): void;
}

/** Any op, where its types do not matter. */
// biome-ignore lint/suspicious/noExplicitAny: the parameter lists of ops have nothing in common.
export type AnyOp = Op<any[], any>;

const definedOps = new WeakSet<AnyOp>();

/** Defines an op; TypeScript infers both type parameters. Nobody can change it afterwards. */
export function defineOp<Call extends unknown[], Args extends CallOptions>(op: Op<Call, Args>): Op<Call, Args> {
  definedOps.add(Object.freeze(op));
  return op;
}

/** Callers reach the entries that take ops, but have no op: one of their own could record anything. */
export function checkOp(op: AnyOp): void {
  if (!definedOps.has(op)) throw new TesseraeError('ERR_ARGUMENT', 'this is not an op of the library');
}

/** @throws TesseraeError ERR_ARGUMENT unless the value is a tensor, ERR_DTYPE unless it has one of the types */
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

/** @throws TesseraeError ERR_SHAPE if the tensor has too few dimensions */
export function checkRank(tensor: Tensor, op: string, name: string, least: number): void {
  if (tensor.rank >= least) return;
  throw new TesseraeError(
    'ERR_SHAPE',
    `${name} must have at least ${least} dimensions, got ${formatShape(tensor.shape)}`,
    { op },
  );
}

/** @throws TesseraeError ERR_SHAPE unless the shapes are equal */
export function checkSameShape(tensor: Tensor, shape: readonly number[], op: string, name: string): void {
  if (tensor.rank === shape.length && tensor.shape.every((size, dim) => size === shape[dim])) return;
  throw new TesseraeError('ERR_SHAPE', `${name} must be ${formatShape(shape)}, got ${formatShape(tensor.shape)}`, {
    op,
  });
}

/** Checks an optional f32 vector of `length` elements, such as a bias. */
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

/** @throws TesseraeError ERR_ARGUMENT unless the value is a finite number and, with `positive`, above 0 */
export function checkNumber(
  value: unknown,
  op: string,
  name: string,
  { positive = false } = {},
): asserts value is number {
  if (typeof value === 'number' && Number.isFinite(value) && (!positive || value > 0)) return;
  const wanted = positive ? 'a positive number' : 'a finite number';
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${wanted}, got ${describe(value)}`, { op });
}

/** A boolean; undefined counts as false. @throws TesseraeError ERR_ARGUMENT for any other value */
export function checkFlag(value: unknown, op: string, name: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be true or false, got ${describe(value)}`, { op });
}

/** The number of a key in a table; undefined gives that of the fallback. @throws TesseraeError ERR_ARGUMENT */
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
    `${name} must be one of ${Object.keys(table).join(', ')}, got ${describe(value)}`,
    { op },
  );
}
