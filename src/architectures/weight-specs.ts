// Names the tensors that an architecture reads from a checkpoint, with their shapes. Used by the files of the
// architectures.
import type { WeightPart, WeightSpec } from './architecture.js';

/**
 * A matrix, by its name without `.weight`. It keeps the file's type, unless it is only looked up and added (`asF32`).
 * @param isTable its rows are looked up, too
 */
export function matrix(
  name: string,
  rows: number,
  columns: number,
  { optional = false, asF32 = false, isTable = false } = {},
): WeightSpec {
  return { name: `${name}.weight`, shape: [rows, columns], asF32, isFactor: !asF32 && !isTable, optional };
}

/** The weights of a gated feed-forward layer which some files have in one matrix, gate first. */
export function gateAndUp(block: string, rows: number): WeightPart[] {
  return ['ffn_gate', 'ffn_up'].map((name) => ({ name: `${block}.${name}.weight`, rows }));
}

/** A vector, by its whole name. It is computed with in f32. */
export function vector(name: string, length: number, { optional = false } = {}): WeightSpec {
  return { name, shape: [length], asF32: true, isFactor: false, optional };
}

/** Weight and bias of a layer norm. */
export function layerNormVectors(name: string, length: number, { optional = false } = {}): WeightSpec[] {
  return [vector(`${name}.weight`, length, { optional }), vector(`${name}.bias`, length, { optional })];
}

/** A projection with its bias, which may be absent where `optionalBias` is set. */
export function biased(name: string, rows: number, columns: number, { optionalBias = false } = {}): WeightSpec[] {
  return [matrix(name, rows, columns), vector(`${name}.bias`, rows, { optional: optionalBias })];
}
