// A paged cache on the memory of an engine that tests have, for the ops of programs: no model and no sequence of its own.

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
import { Tensor } from '../../../src/tensor/tensor.js';
import type { TensorScope } from '../../../src/tensor/tensor-scope.js';

export interface StepCache {
  readonly table: PageTable;
  readonly first: PagedKeyValues;
  readonly last: PagedKeyValues;
  /** Rents the pages that so many positions of the sequence in a slot need, and lists them. */
  grow(slot: number, length: number): Page[];
}

/** A zeroed tensor outside of the pool, which ops take beside the scope's tensors. */
export function privateTensor(scope: TensorScope, shape: readonly number[]): Tensor<'i32'> {
  const addon = loadAddon();
  const bytes = alignedBlock(addon, 4 * elementCount(shape));
  const { owner } = scope.tensor([1]).storage;
  return new Tensor({ dtype: 'i32', shape, storage: new BlockStorage(bytes, addon.addressOf(bytes), owner) });
}

/** @param scope the pages are its own */
export function stepCache(
  scope: TensorScope,
  sizes: KeyValueSizes,
  tableSizes: PageTableSizes,
  type: KeyValueType = 'f32',
): StepCache {
  const layout = pageLayout(sizes, type);
  const directory = new PageDirectory(privateTensor(scope, [256, 2]));
  const table = new PageTable({ privateTensor: (shape) => privateTensor(scope, shape) }, directory, layout, tableSizes);
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
