// How keys and values lie in the pages of a cache, and one layer's view of such pages (native/kernels/key_value_pages.h).
// Made by sessions, read by storeKeyValues and pagedAttention.
import { TesseraeError } from '../../base/errors.js';
import type { Tensor } from '../../tensor/tensor.js';

/** q8_0: 32 neighbouring elements share a scale in f16. The numbers are shared with the kernels. */
export const keyValueTypes = { f32: 0, f16: 1, q8_0: 2 } as const;

export type KeyValueType = keyof typeof keyValueTypes;

/**
 * Positions of a page. Small, so that a short session takes little and forks share most of what they have in common;
 * large enough that a head's keys and values in a page are read as a run. Divides the key blocks of attention.
 */
export const positionsPerPage = 32;

/** Keys stand in panels of so many positions. */
const panelPositions = 16;
const quantizedBlock = 32;
const elementBytes = { f32: 4, f16: 2 } as const;
const alignmentBytes = 64;

export interface KeyValueSizes {
  readonly layers: number;
  readonly kvHeads: number;
  /** Width of a head's keys. */
  readonly headDim: number;
  /** Width of a head's values; as the keys by default. */
  readonly vDim?: number | undefined;
}

/** What a page holds: for each layer the keys of all heads, then their values. */
export interface PageLayout {
  readonly type: KeyValueType;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vDim: number;
  readonly pageBytes: number;
  /** Of a layer's keys; the values begin `valuesBytes` behind them. */
  readonly layerBytes: number;
  readonly keysBytes: number;
}

/** @throws TesseraeError ERR_UNSUPPORTED for q8_0 with heads that are not whole blocks */
export function pageLayout(sizes: KeyValueSizes, type: KeyValueType): PageLayout {
  const { layers, kvHeads, headDim, vDim = headDim } = sizes;
  if (type === 'q8_0' && (headDim % quantizedBlock !== 0 || vDim % quantizedBlock !== 0)) {
    const widths = headDim === vDim ? `${headDim}` : `${headDim} and ${vDim}`;
    const message = `keys and values in q8_0 need heads of a multiple of ${quantizedBlock} elements, here they have ${widths}`;
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

/**
 * Overwrites with zeros what a page holds from position `from` on, counted in the page: nobody has written there, or it
 * is forgotten. Yields after each layer.
 */
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

/** Keys of a head: panels of 16 positions side by side, for each element or, quantized, each integer and then scale. */
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

/** One layer's keys and values in the pages of a session. */
export class PagedKeyValues {
  /** i32 [pages, 2]: the addresses of the pages. */
  readonly table: Tensor<'i32'>;
  readonly type: KeyValueType;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vDim: number;
  /** Where the layer's keys begin in a page, in bytes. */
  readonly keysOffset: number;
  readonly valuesOffset: number;

  constructor(table: Tensor<'i32'>, layout: PageLayout, layer: number) {
    this.table = table;
    this.type = layout.type;
    this.kvHeads = layout.kvHeads;
    this.headDim = layout.headDim;
    this.vDim = layout.vDim;
    this.keysOffset = layer * layout.layerBytes;
    this.valuesOffset = this.keysOffset + layout.keysBytes;
  }

  /** Positions that the table has room for. */
  get capacity(): number {
    return (this.table.shape[0] as number) * positionsPerPage;
  }
}
