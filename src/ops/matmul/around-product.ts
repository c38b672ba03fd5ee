// What the step of a product of floats does beside multiplying, in place of steps of their own: it norms its rows, and
// makes a gated unit of two products (native/kernels/matmul.h). For few rows and weights that were packed before, as in
// decoding. Used by matmul.ts. Changes no bit of any result.
import type { Recorder, Step } from '../../program/recorder.js';
import type { DType } from '../../tensor/elements/dtype.js';
import { elementCount } from '../../tensor/layout/layout.js';
import { imageOf } from '../matrix-image.js';
import { gatedOpOf, offerGated } from '../quantized/gated-unit.js';
import { isSameRun } from '../quantized/quantized-rows.js';
import { type UnnormedRows, unnormedRows } from '../quantized/unnormed-rows.js';
import type { ActivationName } from '../rowwise/elementwise.js';
import type { DenseArgs, DenseProduct } from './dense-product.js';
import type { TileSize } from './matmul-tiles.js';
import { PackedMatrix } from './pack.js';

/** Each tile norms its rows again: so many elements of a worker's tiles take less time than a step. */
const mostNormedAgain = 16_384;
/** Up to this many rows a product waits for its weights, and a unit costs nothing in its step. */
const mostGatedRows = 64;

/** What the product may norm by itself, so that the step that does it is left out; undefined if it is not faster. */
export function normToJoin(recorder: Recorder, product: DenseProduct, tiles: TileSize): UnnormedRows | undefined {
  const { a, m, n, k } = product;
  const { kc, mc } = recorder.blockSizes;
  if (!readsPanels(product) || Math.min(m, tiles.m) * k > mc * kc) return undefined;
  const normedAgain = (Math.ceil(n / tiles.n) * m * k) / recorder.threads;
  return normedAgain > mostNormedAgain ? undefined : unnormedRows(recorder, a);
}

/** Whether the product reads panels, packed before, of one matrix. */
function readsPanels({ b, batch, aStrides, k }: DenseProduct): boolean {
  return b instanceof PackedMatrix && elementCount(batch) === 1 && (aStrides[1] === 1 || k === 1);
}

interface Factor {
  readonly product: DenseProduct;
  readonly activation: ActivationName;
}

/** The steps whose product may be a factor of a gated unit: the first one with an activation or none, the second with none. */
const factors = new WeakMap<Step, Factor>();

/**
 * Notes that the last step may be one of the two factors of a gated unit.
 * @param record records one step for both, with the activation of the first one
 */
export function offerFactor(
  recorder: Recorder,
  product: DenseProduct,
  { bias, activation = 'none', residual }: DenseArgs,
  record: (first: DenseProduct, second: DenseProduct, activation: ActivationName) => void,
): void {
  const last = recorder.steps.at(-1);
  const isPlain = bias === undefined && residual === undefined;
  if (last === undefined || !isPlain || !readsPanels(product) || product.m > mostGatedRows) return;
  factors.set(last, { product, activation });
  if (activation !== 'none') return;
  offerGated(last, (op, gate, up) => {
    const before = recorder.steps.at(-2);
    const first = before && factors.get(before);
    if (first === undefined || !haveSameForm(first.product, product)) return false;
    if (op !== gatedOpOf({ isActivated: first.activation !== 'none' })) return false;
    if (!isSameRun(first.product.c, gate) || !isSameRun(product.c, up)) return false;
    recorder.steps.splice(-2);
    record(first.product, product, first.activation);
    return true;
  });
}

/** Whether both multiply the same rows, by matrices of the same sizes and type. */
function haveSameForm(first: DenseProduct, second: DenseProduct): boolean {
  return (
    isSameRun(first.a, second.a) &&
    typeOf(first) === typeOf(second) &&
    first.m === second.m &&
    first.n === second.n &&
    first.k === second.k &&
    first.cRowStride === second.cRowStride
  );
}

function typeOf({ b }: DenseProduct): DType {
  return (b instanceof PackedMatrix ? imageOf(b) : b).dtype;
}
