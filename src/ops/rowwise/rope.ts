// rope: rotary position embedding (Su et al. 2021; native/kernels/rope.h).
import { formatShape, TesseraeError } from '../../base/errors.js';
import { checkPositive } from '../../base/options.js';
import type { ParamWriter } from '../../program/param-writer.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type CallOptions, checkChoice, checkNumber, checkRank, checkTensor, defineOp } from '../op.js';
import { recordCopy } from './copy.js';
import { outerDims, padFront, tileRowsFor } from './row-layout.js';
import { broadcastTo, hasUnitRows, packed, withUnitRows } from './rows.js';

/** The numbers of RopeStyle in native/kernels/rope.h. */
const styleCodes = { interleaved: 0, halfSplit: 1 } as const;

/** How far heads are rotated. */
export interface Rotation {
  /** f32 [rotaryDim / 2]: radians per position for each pair of elements. See {@link ropeFrequencies}. */
  readonly frequencies: Tensor;
  /** The two elements of a pair: neighbours (llama's GGUF layout; the default), or i and i + rotaryDim / 2. */
  readonly style?: keyof typeof styleCodes | undefined;
  /** A factor for sines and cosines; 1 by default. */
  readonly magnitude?: number | undefined;
}

export interface RopeOptions extends CallOptions, Rotation {}

export interface RopeArgs extends RopeOptions {
  readonly x: Tensor;
  readonly positions: Tensor;
}

/** The widest rotated part of a head that the kernel takes: native/kernels/rope.h. */
const mostRotaryDim = 65_536;

/**
 * The unscaled frequencies: base^(-2i / rotaryDim) for each pair i.
 * @throws TesseraeError ERR_ARGUMENT unless `rotaryDim` is even, from 2 to 65536, and `base` positive
 */
export function ropeFrequencies(rotaryDim: number, base = 10_000): Float32Array {
  const op = 'ropeFrequencies';
  if (checkPositive(rotaryDim, 'rotaryDim', op) % 2 !== 0 || rotaryDim > mostRotaryDim) {
    const message = `rotaryDim must be even and at most ${mostRotaryDim}, got ${rotaryDim}`;
    throw new TesseraeError('ERR_ARGUMENT', message, { op });
  }
  checkNumber(base, op, 'base', { positive: true });
  return Float32Array.from({ length: rotaryDim / 2 }, (_, pair) => base ** ((-2 * pair) / rotaryDim));
}

export const rope = defineOp({
  name: 'rope',
  parameters: ['x', 'positions', 'frequencies', 'style', 'magnitude'],
  inPlace: () => true,
  /** x: [..., tokens, heads, dim]; positions: i32 [..., tokens], broadcast over leading dimensions. */
  args: (x: Tensor, positions: Tensor, options: RopeOptions): RopeArgs => ({ x, positions, ...options }),
  operands: ({ x, positions, frequencies }) => [x, positions, frequencies],
  infer(args) {
    const { x, positions } = args;
    checkTensor(x, 'rope', 'x', 'f32');
    checkRank(x, 'rope', 'x', 3);
    checkTensor(positions, 'rope', 'positions', 'i32');
    checkRotation(args, x.shape.at(-1) as number, 'rope');
    broadcastTo(positions, x.shape.slice(0, -2), 'rope');
    if (x.rank > outerDims + 1) throw new TesseraeError('ERR_SHAPE', 'x has too many dimensions', { op: 'rope' });
    return { shape: x.shape, dtype: 'f32' };
  },
  record(recorder, { x, positions, ...rotation }, out) {
    const [heads, dim] = x.shape.slice(-2) as [number, number];
    const table = packed(recorder, rotation.frequencies);
    const from = withUnitRows(recorder, x);
    const to = hasUnitRows(out) ? out : recorder.temporary(out.shape);
    const index = broadcastTo(positions, x.shape.slice(0, -2), 'rope');
    // Tokens and heads are not merged: a tile computes the sines of a token once for all heads.
    const tokens = x.size / (heads * dim);
    const tileTokens = tileRowsFor(tokens, heads * dim * 2, recorder.threads);
    const step = {
      kernel: 'rope',
      tiles: Math.ceil(tokens / tileTokens),
      flops: 3 * x.size + 40 * tokens * table.size,
      reads: [from, index, table],
      writes: [to],
    };
    recorder.emit(step, (params) =>
      writeRotation(params.pointer(from).pointer(to).pointer(index), { ...rotation, frequencies: table })
        .int(dim)
        .int(tileTokens)
        .ints(padFront(x.shape.slice(0, -1), 1))
        .ints(padFront(from.strides.slice(0, -1), 0))
        .ints(padFront(to.strides.slice(0, -1), 0))
        .ints(padFront([...index.strides, 0], 0)),
    );
    if (to !== out) recordCopy(recorder, to, out);
  },
});

/** @throws TesseraeError ERR_ARGUMENT, ERR_DTYPE, ERR_SHAPE unless heads of `dim` elements can be rotated so */
export function checkRotation({ frequencies, style, magnitude = 1 }: Rotation, dim: number, op: string): void {
  checkTensor(frequencies, op, 'frequencies', 'f32');
  checkChoice(style, styleCodes, 'interleaved', op, 'style');
  checkNumber(magnitude, op, 'magnitude');
  if (frequencies.rank === 1 && frequencies.size * 2 <= dim) return;
  const message = `frequencies must be one for each of at most ${dim / 2} pairs, got ${formatShape(frequencies.shape)}`;
  throw new TesseraeError('ERR_SHAPE', message, { op });
}

/** Writes the struct Rotation of native/kernels/rope.h; its frequencies are packed. */
export function writeRotation(params: ParamWriter, { frequencies, style, magnitude = 1 }: Rotation): ParamWriter {
  return params
    .pointer(frequencies)
    .double(magnitude)
    .int(checkChoice(style, styleCodes, 'interleaved', 'rope', 'style'))
    .int(frequencies.size * 2);
}
