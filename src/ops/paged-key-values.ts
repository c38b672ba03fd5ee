// How keys and values lie in the pages of a cache, and one layer's view of such pages (native/kernels/key_value_pages.h).
// Made by sessions, read by storeKeyValues and pagedAttention.
import { TesseraeError } from '../errors.js';
import type { Tensor } from '../tensor/tensor.js';

/** q8_0: 32 neighbouring elements share a scale in f16. The numbers are shared with the kernels. */
export const keyValueTypes = { f32: 0, f16: 1, q8_0: 2 } as const;

export type KeyValueType = keyof typeof keyValueTypes;

/**
 * Positions of a page. Small, so that a short session takes little and forks share most of what they have in common;
 * large enough that a head's keys and values in a page are read as a run. Divides the key blocks of attention.
 */
export const positionsPerPage = 32;

const quantizedBlock = 32;
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
  return positionsPerPage * dim * (type === 'f16' ? 2 : 4);
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
