// Lets the step of two products compute their gated unit as well, in place of a step after it: silu(first) · second, or
// first · second where the first product has an activation. Connects siluMul and mul with the products of matmul/, none of
// which imports it.
import type { Recorder, Step } from '../../program/recorder.js';
import type { Tensor } from '../../tensor/tensor.js';

/** The op whose step is saved: siluMul after a first product without an activation, mul after one with an activation. */
export type GatedOp = 'siluMul' | 'mul';

/** Records the step anew with the unit, whose result is in `gate`; returns false if it cannot. */
export type JoinGated = (op: GatedOp, gate: Tensor, up: Tensor) => boolean;

const joins = new WeakMap<Step, JoinGated>();

export function offerGated(step: Step, join: JoinGated): void {
  joins.set(step, join);
}

/** The op that makes the unit of two products. */
export function gatedOpOf({ isActivated }: { isActivated: boolean }): GatedOp {
  return isActivated ? 'mul' : 'siluMul';
}

/** Whether the last step now computes the unit of its two results in place, in `gate`. */
export function joinedGated({ steps }: Recorder, op: GatedOp, gate: Tensor, up: Tensor): boolean {
  const last = steps.at(-1);
  return (last && joins.get(last)?.(op, gate, up)) === true;
}
