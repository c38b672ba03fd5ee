// A paged KV cache in the memory of an engine, for tests of the paged ops: without a model and without sequences.

import { internal } from '../../../src/base/internal.js';
import { PageDirectory } from '../../../src/forward/page-directory.js';
import { Page, PageTable, type PageTableSizes, pagesFor } from '../../../src/forward/page-table.js';
import { loadAddon } from '../../../src/native/load.js';
import {
  type KeyValueSizes,
  type KeyValueType,
  PagedKeyValues,
  pageLayout,
} from '../../../src/ops/paged/key-value-pages.js';
import { BlockStorage } from '../../../src/program/block-storage.js';
import { alignedBlock } from '../../../src/team/aligned-block.js';
import { elementCount } from '../../../src/tensor/layout/layout.js';
import { storageOf, Tensor } from '../../../src/tensor/tensor.js';
import type { TensorScope } from '../../../src/tensor/tensor-scope.js';

export interface StepCache {
  readonly table: PageTable;
  /** Of the first and of the last layer. */
  readonly first: PagedKeyValues;
  readonly last: PagedKeyValues;
  /** Rents the pages for this many positions of the sequence in a slot, and writes them to the table. */
  grow(slot: number, length: number): Page[];
}

/** A tensor of zeros outside the pool that ops accept together with the scope's tensors. */
export function privateTensor(scope: TensorScope, shape: readonly number[]): Tensor<'i32'> {
  const addon = loadAddon();
  const bytes = alignedBlock(addon, 4 * elementCount(shape));
  const { owner } = storageOf(scope.tensor([1]));
  return new Tensor(internal, { dtype: 'i32', shape, storage: new BlockStorage(bytes, addon.addressOf(bytes), owner) });
}

/** @param scope owns the pages */
export function stepCache(
  scope: TensorScope,
  sizes: KeyValueSizes,
  tableSizes: PageTableSizes,
  type: KeyValueType = 'f32',
): StepCache {
  const layout = pageLayout(sizes, type);
  const directory = new PageDirectory(privateTensor(scope, [256, 2]));
  const memory = {
    privateTensor: (shape: readonly number[]) => privateTensor(scope, shape),
    giveBackPrivate: () => {},
  };
  const table = new PageTable(memory, directory, layout, tableSizes);
  const layers = Array.from({ length: layout.layers }, (_, layer) => new PagedKeyValues(table, layout, layer));
  const empty = (shape: readonly number[], dtype: 'i8') => scope.tensor([...shape], dtype);
  return {
    table,
    first: layers[0] as PagedKeyValues,
    last: layers.at(-1) as PagedKeyValues,
    grow(slot, length) {
      const pages = Array.from({ length: pagesFor(length) }, () =>
        Page.rent(directory, { empty } as never, layout.pageBytes),
      );
      table.load(slot, pages);
      return pages;
    },
  };
}
