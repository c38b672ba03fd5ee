// The layout of a stored image of weights: a header that says what it was made of, then the weights as the kernels read them,
// then checksums. Everything in it follows from the model's files, so that an image is recognised by comparing its header with
// the one that is expected, and nothing that it says is parsed. Pure, but for asking which files there are.
import { createHash } from 'node:crypto';
import { packageVersion } from '../../base/package-files.js';
import { dtypes } from '../../tensor/elements/dtype.js';
import type { PlacedTensor } from '../placed-tensors.js';
import { checksumCount } from './checksum.js';

/** To be incremented when the layout of the file, or of weights in it, changes between two releases. */
const version = 2;
/** A multiple of every page size. */
const pageBytes = 1 << 16;
const alignment = 64;
/** Smaller tensors, vectors among them, are copied into pooled memory. */
const leastMappedBytes = 1 << 16;

export interface PlannedWeight extends PlacedTensor {
  /** Offset in the file. */
  readonly position: number;
  readonly isMapped: boolean;
}

export interface ImagePlan {
  /** The name of its file, by the contents of the header. */
  readonly fileName: string;
  readonly header: Uint8Array;
  readonly weights: readonly PlannedWeight[];
  /** Where the weights begin and end. */
  readonly start: number;
  readonly end: number;
  /** Of the whole file. */
  readonly sizeBytes: number;
}

/** @param layout on what the layout of weights depends beside the files, such as the sizes of blocks */
export async function planImage(tensors: readonly PlacedTensor[], layout: object): Promise<ImagePlan> {
  const files = new Set(tensors.map(({ tensor }) => tensor.file));
  const sources = await Promise.all([...files].map((file) => file.identity()));
  const identity = new Map([...files].map((file, index) => [file, index]));
  const described = tensors.map(({ spec, tensor, placement }) => [
    spec.name,
    identity.get(tensor.file),
    tensor.position,
    tensor.type,
    tensor.shape,
    tensor.transposed ?? false,
    tensor.plus ?? 0,
    placement,
  ]);
  const text = JSON.stringify({ tesserae: packageVersion, version, layout, sources, weights: described });
  const header = new TextEncoder().encode(text);
  const start = roundedUp(header.length, pageBytes);
  let position = start;
  const weights = tensors.map((placed): PlannedWeight => {
    const at = position;
    const { placement } = placed;
    position = roundedUp(position + placement.sizeBytes, alignment);
    const isMatrix = placement.kind !== 'read' || placed.tensor.shape.length === 2;
    return { ...placed, position: at, isMapped: isMatrix && placement.sizeBytes >= leastMappedBytes };
  });
  const fileName = `${createHash('sha256').update(header).digest('hex').slice(0, 40)}.weights`;
  const sizeBytes = position + checksumCount(position - start) * Int32Array.BYTES_PER_ELEMENT;
  return { fileName, header, weights, start, end: position, sizeBytes };
}

/** The shape of the tensor that holds a weight: images of matrices have one dimension. */
export function memoryShapeOf({ placement, tensor }: PlacedTensor): readonly number[] {
  if (placement.kind === 'read') return tensor.shape;
  return [placement.sizeBytes / (placement.kind === 'panels' ? dtypes[placement.dtype].sizeBytes : 1)];
}

function roundedUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
