// The layout of keys and values in the pages of a KV cache, and one layer's view of those pages
// (native/kernels/key_value_pages.h). Used by the ops in paged-attention.ts and by the room forward, which owns the pages.
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Element types of a cache. q8_0: 32 neighbouring elements share an f16 scale. The kernels use the same numbers. */
export const keyValueTypes = { f32: 0, f16: 1, q8_0: 2 } as const;

export type KeyValueType = keyof typeof keyValueTypes;

/**
 * Positions in a page. Small, so that a short session takes little memory and forks share most of their common prefix;
 * large enough that the keys and values of a head in a page are read as one run. Divides attention's block of keys.
 */
export const positionsPerPage = 32;

/** Keys are stored in panels of this many positions. */
const panelPositions = 16;
const quantizedBlock = 32;
const elementBytes = { f32: 4, f16: 2 } as const;
const alignmentBytes = 64;

export interface KeyValueSizes {
  readonly layers: number;
  readonly kvHeads: number;
  /** Width of a head's keys. */
  readonly headDim: number;
  /** Width of a head's values; `headDim` by default. */
  readonly vDim?: number | undefined;
}

/** Layout of a page: for each layer the keys of all heads, then their values. */
export interface PageLayout {
  readonly type: KeyValueType;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vDim: number;
  readonly pageBytes: number;
  /** Bytes of a layer's keys and values. */
  readonly layerBytes: number;
  /** Bytes of a layer's keys; its values follow them. */
  readonly keysBytes: number;
}

/** Whether keys and values can be kept in a type. */
export function allowsKeyValueType({ headDim, vDim = headDim }: KeyValueSizes, type: KeyValueType): boolean {
  return type !== 'q8_0' || (headDim % quantizedBlock === 0 && vDim % quantizedBlock === 0);
}

/** @throws TesseraeError ERR_UNSUPPORTED for q8_0 when the width of a head is not a multiple of the block size */
export function pageLayout(sizes: KeyValueSizes, type: KeyValueType): PageLayout {
  const { layers, kvHeads, headDim, vDim = headDim } = sizes;
  if (!allowsKeyValueType(sizes, type)) {
    const widths = headDim === vDim ? `${headDim}` : `${headDim} and ${vDim}`;
    const message = `keys and values in q8_0 need a head width that is a multiple of ${quantizedBlock}, got ${widths}`;
    throw new TesseraeError('ERR_UNSUPPORTED', message);
  }
  const keysBytes = aligned(kvHeads * headBytes(type, headDim));
  const layerBytes = keysBytes + aligned(kvHeads * headBytes(type, vDim));
  return { type, layers, kvHeads, headDim, vDim, keysBytes, layerBytes, pageBytes: layers * layerBytes };
}

function headBytes(type: KeyValueType, dim: number): number {
  if (type === 'q8_0') return positionsPerPage * (dim + (dim / quantizedBlock) * 2);
  return positionsPerPage * dim * elementBytes[type];
}

/** Zeroes the keys and values of a page from position `from` (counted in the page) to its end. Yields after each layer. */
export function* clearPositions(page: Uint8Array, layout: PageLayout, from: number): Generator<void, void> {
  const { type, layers, kvHeads, headDim, vDim, layerBytes, keysBytes } = layout;
  const clear = (start: number, end: number) => page.fill(0, start, end);
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < kvHeads; head++) {
      const keys = layer * layerBytes + head * headBytes(type, headDim);
      clearKeys(clear, keys, headDim, type, from);
      const values = layer * layerBytes + keysBytes + head * headBytes(type, vDim);
      const end = values + headBytes(type, vDim);
      if (type === 'q8_0') {
        clear(values + from * vDim, values + positionsPerPage * vDim);
        clear(end - (positionsPerPage - from) * (vDim / quantizedBlock) * 2, end);
      } else {
        clear(values + from * vDim * elementBytes[type], end);
      }
    }
    yield;
  }
}

/**
 * Zeroes the keys of one head. In a panel, the values of all its positions for one element are neighbours; in q8_0, after
 * each 32 such rows of integers comes a row of scales.
 */
function clearKeys(
  clear: (start: number, end: number) => void,
  start: number,
  dim: number,
  type: KeyValueType,
  from: number,
): void {
  const panelBytes = headBytes(type, dim) / (positionsPerPage / panelPositions);
  const lane = from % panelPositions;
  let panel = start + Math.floor(from / panelPositions) * panelBytes;
  const end = start + headBytes(type, dim);
  if (lane > 0) {
    for (let at = panel, row = 0; at < panel + panelBytes; row++) {
      const isScale = row % (quantizedBlock + 1) === quantizedBlock;
      const bytes = type === 'q8_0' ? (isScale ? 2 : 1) : elementBytes[type];
      clear(at + lane * bytes, at + panelPositions * bytes);
      at += panelPositions * bytes;
    }
    panel += panelBytes;
  }
  clear(panel, end);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

/** Where the pages of a cache are. Internal memory: no tensor of a user shares a buffer with it. */
export interface PageTensors {
  /** i32 [pages, 2]: the address of each page by its number, as two halves; 0 where there is no such page. */
  readonly directory: Tensor<'i32'>;
  /** i32 [slots, pages]: for each slot the numbers of its sequence's pages in order; -1 where there is none. */
  readonly table: Tensor<'i32'>;
}

/** One layer's keys and values in the pages of a cache that many sequences share. */
export class PagedKeyValues implements PageTensors {
  readonly directory: Tensor<'i32'>;
  readonly table: Tensor<'i32'>;
  readonly type: KeyValueType;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vDim: number;
  /** Start of the layer's keys in a page, in bytes. */
  readonly keysOffset: number;
  /** Start of the layer's values in a page, in bytes. */
  readonly valuesOffset: number;

  constructor({ directory, table }: PageTensors, layout: PageLayout, layer: number) {
    this.directory = directory;
    this.table = table;
    this.type = layout.type;
    this.kvHeads = layout.kvHeads;
    this.headDim = layout.headDim;
    this.vDim = layout.vDim;
    this.keysOffset = layer * layout.layerBytes;
    this.valuesOffset = this.keysOffset + layout.keysBytes;
  }

  /** Positions that the pages of a slot can hold. */
  get capacity(): number {
    return (this.table.shape[1] as number) * positionsPerPage;
  }
}
