// Rows that a product norms by itself, so that the step of an rmsNorm before it is not needed. For few rows: each tile of the
// product norms them again, which takes less time than a step. Used by rmsNorm, and by the products of matmul/.
import type { Recorder, Step } from '../../program/recorder.js';
import { storageOf, type Tensor } from '../../tensor/tensor.js';
import { isSameRun } from './quantized-rows.js';

export interface UnnormedRows {
  /** f32 [..., columns], contiguous. */
  readonly x: Tensor;
  readonly weight: Tensor | undefined;
  readonly eps: number;
}

/** For the step of an rmsNorm: what it norms. */
const normedBy = new WeakMap<Step, UnnormedRows>();
const stepsToLookBack = 8;
/** Elements of more than one row: so many are normed faster than a step is handed over. */
const mostElements = 2560;
/** kMostNormed in native/kernels/matmul_quantized.h. */
const mostColumns = 65_536;

/** To be called by rmsNorm after its step. */
export function noteNorm({ steps }: Recorder, rows: UnnormedRows): void {
  const last = steps.at(-1);
  if (last?.kernel === 'rms_norm' && last.reads[0] === rows.x) normedBy.set(last, rows);
}

/** What a product may norm instead of reading `normed`; undefined if it is not faster, or not the same any more. */
export function unnormedRows(recorder: Recorder, normed: Tensor): UnnormedRows | undefined {
  const columns = normed.shape.at(-1) as number;
  if (normed.size > (normed.size === columns ? mostColumns : mostElements)) return undefined;
  if (!recorder.owns(normed)) return undefined;
  const later: Step[] = [];
  for (const step of recorder.steps.slice(-stepsToLookBack).reverse()) {
    if (step.writes.some((written) => storageOf(written) === storageOf(normed))) {
      const rows = normedBy.get(step);
      const isChanged = (of: Tensor) =>
        [step, ...later].some(({ writes }) => writes.some((written) => storageOf(written) === storageOf(of)));
      // A step with a second output has quantized its rows already.
      if (rows === undefined || step.writes.length > 1 || !rows.x.isContiguous || isChanged(rows.x)) return undefined;
      if (!isSameRun(step.writes[0] as Tensor, normed) || rows.x.shape.at(-1) !== columns) return undefined;
      recorder.leaveOutIfUnread(step);
      return rows;
    }
    later.push(step);
  }
  return undefined;
}
