// Lets the step of two products compute silu(first) · second as well, in place of a step of siluMul after it. Connects siluMul
// with the products of matmul/, none of which imports it.
import type { Recorder, Step } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Records the step anew with the unit, whose result is in `gate`; returns false if it cannot. */
export type JoinGated = (gate: Tensor, up: Tensor) => boolean;

const joins = new WeakMap<Step, JoinGated>();

export function offerGated(step: Step, join: JoinGated): void {
  joins.set(step, join);
}

/** Whether the last step now computes the unit of its two results in place, in `gate`. */
export function joinedGated({ steps }: Recorder, gate: Tensor, up: Tensor): boolean {
  const last = steps.at(-1);
  return (last && joins.get(last)?.(gate, up)) === true;
}
