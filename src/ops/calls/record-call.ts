// One call of an op: its checks, its output, and the recording of its steps. Used by one-shot calls and by programs.
import { TesseraeError } from '../../base/errors.js';
import { unknownOption } from '../../base/options.js';
import type { Recorder } from '../../program/recorder.js';
import { byteExtent } from '../../tensor/layout/layout.js';
import { storageOf, type Tensor } from '../../tensor/tensor.js';
import { type AnyOp, checkOp, checkSameShape, checkTensor, type OutputSpec } from '../op.js';

/** What differs between one-shot calls and programs. */
export interface CallSite {
  readonly recorder: Recorder;
  /** Throws if a tensor was disposed or belongs to another engine or program. */
  checkUsable(tensor: Tensor, op: string): void;
  /** Makes the output if the caller gave none. */
  allocate(spec: OutputSpec): Tensor;
}

/** Checks and records a call. Gives the output, which is `args.out` if given. If it throws, nothing was recorded. */
// biome-ignore lint/suspicious/noExplicitAny: the arguments are the op's own, checked by its `infer`.
export function recordCall(op: AnyOp, args: any, site: CallSite): Tensor {
  checkOp(op);
  for (const key of Object.keys(args)) {
    if (key === 'out' || key === 'signal' || op.parameters.includes(key)) continue;
    throw unknownOption(key, op.name);
  }
  const spec = op.infer(args);
  const operands = op.operands(args).filter((operand) => operand !== undefined);
  for (const operand of operands) site.checkUsable(operand, op.name);
  const given = args.out as unknown;
  if (given === undefined) {
    const out = site.allocate(spec);
    try {
      record(op, args, out, site.recorder);
    } catch (error) {
      out.dispose();
      throw error;
    }
    return out;
  }
  checkTensor(given, op.name, 'out', spec.dtype);
  checkSameShape(given, spec.shape, op.name, 'out');
  site.checkUsable(given, op.name);
  checkWritable(given, operands, (operand) => op.inPlace(operand, args), op.name);
  record(op, args, given, site.recorder);
  return given;
}

/** Records the steps. Some layouts are refused only here; the steps that were recorded before are then removed. */
// biome-ignore lint/suspicious/noExplicitAny: see above.
function record(op: AnyOp, args: any, out: Tensor, recorder: Recorder): void {
  if (out.size === 0) return;
  const stepsBefore = recorder.steps.length;
  try {
    op.record(recorder, args, out);
  } catch (error) {
    recorder.steps.length = stepsBefore;
    throw error;
  }
}

function checkWritable(
  out: Tensor,
  operands: readonly Tensor[],
  inPlace: (operand: Tensor) => boolean,
  op: string,
): void {
  if (out.shape.some((size, dim) => size > 1 && out.strides[dim] === 0)) {
    throw new TesseraeError('ERR_ARGUMENT', `the elements of out (${out.toString()}, expanded) share memory`, { op });
  }
  for (const operand of operands) {
    if (!overlaps(out, operand) || (inPlace(operand) && sameLayout(out, operand))) continue;
    const hint = inPlace(operand) ? '; in place, it must be exactly the same elements' : '';
    throw new TesseraeError('ERR_ARGUMENT', `out overlaps an operand, ${operand.toString()}${hint}`, { op });
  }
}

/** Whether the byte ranges of both tensors overlap. */
function overlaps(a: Tensor, b: Tensor): boolean {
  if (storageOf(a) !== storageOf(b)) return false;
  const first = byteExtent(a);
  const second = byteExtent(b);
  return first.start < second.end && second.start < first.end;
}

function sameLayout(a: Tensor, b: Tensor): boolean {
  return (
    a.offset === b.offset &&
    a.rank === b.rank &&
    a.shape.every((size, dim) => size === b.shape[dim] && (size <= 1 || a.strides[dim] === b.strides[dim]))
  );
}
