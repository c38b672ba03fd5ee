// The operands of the work `encoder`, the same numbers for us and for the peers: weights in f32, and as the blocks of
// Q8_0 that ours uses instead.
import { halfFromNumber } from '../../../../dist/src/tensor/elements/half.js';
import { type EncoderWork, seeds, uniform } from './work.js';

export const matrixNames = ['q', 'k', 'v', 'o', 'up', 'down'] as const;
export type MatrixName = (typeof matrixNames)[number];
export const normNames = ['attentionNorm', 'outputNorm'] as const;
export type NormName = (typeof normNames)[number];

/** A matrix f32 [inputs, outputs] and the bias of its outputs. */
export interface Projection {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

export interface Norm {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

export interface EncoderLayer {
  readonly matrices: Readonly<Record<MatrixName, Projection>>;
  readonly norms: Readonly<Record<NormName, Norm>>;
}

/** What the weights of the layers depend on. */
export type LayerSizes = Pick<EncoderWork, 'layers' | 'width' | 'ffn'>;

export function encoderInput({ batch, tokens, width }: EncoderWork): Float32Array {
  return uniform(batch * tokens * width, seeds.x);
}

export function encoderLayers({ layers, width, ffn }: LayerSizes): EncoderLayer[] {
  let seed = 100;
  const projection = (inputs: number, outputs: number): Projection => ({
    inputs,
    outputs,
    weight: uniform(inputs * outputs, seed++).map((value) => value / Math.sqrt(inputs)),
    bias: uniform(outputs, seed++),
  });
  const norm = (): Norm => ({
    weight: uniform(width, seed++).map((value) => 1 + value / 4),
    bias: uniform(width, seed++),
  });
  return Array.from({ length: layers }, () => ({
    matrices: {
      q: projection(width, width),
      k: projection(width, width),
      v: projection(width, width),
      o: projection(width, width),
      up: projection(width, ffn),
      down: projection(ffn, width),
    },
    norms: { attentionNorm: norm(), outputNorm: norm() },
  }));
}

const blockElements = 32;
const blockBytes = 34;

/** The transposed matrix, [outputs, inputs], in blocks of Q8_0: the scale as a half, then 32 signed bytes. */
export function q8Blocks({ inputs, outputs, weight }: Projection): Int8Array {
  const bytes = new Int8Array(((outputs * inputs) / blockElements) * blockBytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (let row = 0; row < outputs; row++) {
    for (let first = 0; first < inputs; first += blockElements, at += blockBytes) {
      const values = Array.from({ length: blockElements }, (_, i) => weight[(first + i) * outputs + row] as number);
      const scale = Math.max(...values.map(Math.abs)) / 127;
      view.setUint16(at, halfFromNumber(scale), true);
      values.forEach((value, i) => {
        view.setInt8(at + 2 + i, scale === 0 ? 0 : Math.round(value / scale));
      });
    }
  }
  return bytes;
}
