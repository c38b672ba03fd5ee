// The tree of computed pages alone: what is found of a prompt, what is given up first, and who uses which page.
import { describe, expect, test } from 'vitest';
import type { Page } from '../../../src/serving/scheduling/page-source.js';
import { PrefixTree } from '../../../src/serving/scheduling/prefix-tree.js';
import { FakePages } from './simulator.js';

const positions = 4;

/** A tree, and the pages that were published, of which the tree is the only user. */
function treeOf(...prompts: readonly (readonly number[])[]) {
  const source = new FakePages(positions, 1000);
  const tree = new PrefixTree(positions);
  const publish = (ids: readonly number[], salt = '') => {
    const pages: Page[] = [];
    for (let from = 0; from + positions <= ids.length; from += positions) {
      const page = source.rent() as Page;
      expect(tree.publish(salt, ids, from, page)).toBe(true);
      page.release();
      pages.push(page);
    }
    return pages;
  };
  const pages = prompts.map((ids) => publish(ids));
  /** By prompt and place in it. */
  const nameOf = (page: Page) => {
    const prompt = pages.findIndex((own) => own.includes(page));
    return `${prompt}.${pages[prompt]?.indexOf(page)}`;
  };
  const take = (ids: readonly number[], most: number) => {
    const found = tree.take('', ids, most);
    const partly = found.partly && [nameOf(found.partly.page), found.partly.tokens];
    return { ...found, names: [...found.pages.map(nameOf), ...(partly ?? [])] };
  };
  return { source, tree, publish, pages, take };
}

const release = ({ pages, partly }: ReturnType<PrefixTree['take']>): void => {
  for (const page of pages) page.release();
  partly?.page.release();
};

const [a, b, c] = [
  [1, 2, 3, 4],
  [5, 6, 7, 8],
  [9, 10, 11, 12],
] as const;

describe('what is found of a prompt', () => {
  test('are the full pages with which it begins, of as many tokens as are wanted', () => {
    const { tree, take } = treeOf([...a, ...b, ...c]);
    expect([0, 3, 4, 7, 8, 11, 12, 99].map((most) => tree.lookUp('', [...a, ...b, ...c, 13], most))).toEqual([
      0, 0, 4, 4, 8, 8, 12, 12,
    ]);
    expect(tree.lookUp('', [...a, 5, 6, 7, 9], 8)).toBe(4);
    expect(tree.lookUp('', [...b, ...c], 8)).toBe(0);
    expect(tree.lookUp('another', [...a], 4)).toBe(0);
    const found = take([...a, ...b, ...c], 8);
    // The page behind them is left out with the tokens that are not wanted.
    expect(found.names).toEqual(['0.0', '0.1']);
    expect(found.pages.every((page) => page.isShared)).toBe(true);
    release(found);
    expect(found.pages.some((page) => page.isShared)).toBe(false);
  });

  test('is the longest page of which at least a quarter matches', () => {
    const { take } = treeOf([...a, 5, 6, 1, 1], [...a, 5, 6, 7, 1], [...a, 5, 1, 1, 1]);
    const found = take([...a, ...b], 99);
    expect(found.names).toEqual(['0.0', '1.1', 3]);
    expect(found.partly?.page.isShared).toBe(true);
    release(found);
    expect(found.partly?.page.isShared).toBe(false);
    // As many tokens of it as are wanted; of several that are equally good, the first.
    expect(take([...a, ...b], 6).names).toEqual(['0.0', '0.1', 2]);
    expect(take([...a, ...b], 5).names).toEqual(['0.0', '0.1', 1]);
    expect(take([...a, ...b], 4).names).toEqual(['0.0']);
    expect(take([...a, 6, 6, 7, 8], 99).names).toEqual(['0.0']);
    expect(take([7, ...b], 99)).toEqual({ pages: [], partly: undefined, names: [] });
    expect(treeOf().take(a, 99)).toEqual({ pages: [], partly: undefined, names: [] });
  });

  test('may be a part of the first page; less than a quarter is not worth a copy', () => {
    const source = new FakePages(8, 10);
    const tree = new PrefixTree(8);
    const page = source.rent() as Page;
    tree.publish('', [1, 2, 3, 4, 5, 6, 7, 8], 0, page);
    const { partly } = tree.take('', [1, 2, 9], 3);
    expect(partly?.page).toBe(page);
    expect(partly?.tokens).toBe(2);
    expect(tree.take('', [1, 9, 9], 3).partly).toBeUndefined();
  });
});

describe('publishing', () => {
  test('the same tokens a second time keeps the first page', () => {
    const { tree, source, take } = treeOf([...a]);
    const page = source.rent() as Page;
    expect(tree.publish('', a, 0, page)).toBe(true);
    expect(page.isShared).toBe(false);
    expect(tree.size).toBe(1);
    expect(take(a, 4).names).toEqual(['0.0']);
  });

  test('is refused behind a page that is not there', () => {
    const { tree, source } = treeOf([...a]);
    const page = source.rent() as Page;
    expect(tree.publish('', [...b, ...c], 4, page)).toBe(false);
    expect(tree.publish('another', [...a, ...b], 4, page)).toBe(false);
    expect(tree.publish('', [...a, ...b, ...c], 8, page)).toBe(false);
    expect([tree.size, page.isShared]).toEqual([1, false]);
  });

  test('under several salts keeps them apart', () => {
    const { tree, publish } = treeOf([...a, ...b]);
    publish([...a], 'another');
    expect([tree.lookUp('', [...a, ...b], 8), tree.lookUp('another', [...a, ...b], 8)]).toEqual([8, 4]);
    expect(tree.size).toBe(3);
    tree.forget('');
    expect([tree.lookUp('', [...a, ...b], 8), tree.lookUp('another', [...a, ...b], 8)]).toEqual([0, 4]);
    expect(tree.size).toBe(1);
    tree.forget('unknown');
    expect(tree.size).toBe(1);
  });
});

describe('giving up', () => {
  /** What is left in the tree, by the prompts that are still found whole. */
  const left = (tree: PrefixTree, prompts: readonly (readonly number[])[]) =>
    prompts.map((ids) => tree.lookUp('', ids, ids.length));

  test('begins with the page used longest ago, and with the last of a prompt', () => {
    const prompts = [[...a, ...b], [...c], [...b]] as const;
    const { tree, source } = treeOf(...prompts);
    expect([tree.size, tree.evictable, source.live]).toEqual([4, 4, 4]);
    // The first prompt is the one used last now.
    release(tree.take('', prompts[0], 8));
    expect(tree.evict()).toBe(true);
    expect(left(tree, prompts)).toEqual([8, 0, 4]);
    expect(tree.evict()).toBe(true);
    expect(left(tree, prompts)).toEqual([8, 0, 0]);
    expect(tree.evict()).toBe(true);
    expect(left(tree, prompts)).toEqual([4, 0, 0]);
    expect(tree.evict()).toBe(true);
    expect(tree.evict()).toBe(false);
    expect([tree.size, tree.evictable, source.live]).toEqual([0, 0, 0]);
  });

  test('spares pages that a request uses, and those before them', () => {
    const { tree, source } = treeOf([...a, ...b], [...c]);
    const found = tree.take('', [...a, ...b], 4);
    const last = tree.take('', c, 4);
    expect(tree.evictable).toBe(1);
    expect(tree.evict()).toBe(true);
    expect(tree.evict()).toBe(false);
    expect(source.live).toBe(2);
    release(found);
    expect(tree.evict()).toBe(true);
    release(last);
    expect(tree.evict()).toBe(true);
    expect(source.live).toBe(0);
  });

  test('spares a page that nobody uses, as long as one behind it is used', () => {
    const { tree, source } = treeOf([...a]);
    // Its request has computed both, but the first of them was in the tree already.
    const behind = source.rent() as Page;
    tree.publish('', [...a, ...b], 4, behind);
    expect(tree.evictable).toBe(1);
    expect(tree.evict()).toBe(false);
    expect(left(tree, [[...a, ...b]])).toEqual([8]);
    behind.release();
    expect([tree.evict(), tree.evict(), tree.size]).toEqual([true, true, 0]);
  });

  test('begins with the page behind which none was published lately', () => {
    const { tree, publish } = treeOf([...a], [...b]);
    const used = tree.take('', b, 4);
    publish([...a, ...c]);
    expect(tree.evict()).toBe(true);
    expect(left(tree, [[...a, ...c], b])).toEqual([4, 4]);
    release(used);
    // The first prompt has been published a page since the second one was used.
    expect(tree.evict()).toBe(true);
    expect(left(tree, [a, b])).toEqual([4, 0]);
  });

  test('counts as a use that a page matched in part, or that one was published behind it', () => {
    const partly = treeOf([...a], [...b], [...c]);
    release(partly.tree.take('', [1, 2, 99], 3));
    partly.tree.evict();
    expect(left(partly.tree, [a, b, c])).toEqual([4, 0, 4]);

    const behind = treeOf([...a], [...b]);
    behind.publish([...a, ...c]);
    behind.tree.evict();
    expect(left(behind.tree, [a, b])).toEqual([4, 0]);
    // Of one prompt, what comes first is used last.
    behind.publish([...b]);
    behind.tree.evict();
    expect(left(behind.tree, [[...a, ...c], b])).toEqual([4, 4]);
    behind.tree.evict();
    expect(left(behind.tree, [a, b])).toEqual([0, 4]);
  });

  test('one of several that begin with the same token leaves the others', () => {
    const prompts = [
      [1, 1, 1, 1],
      [1, 2, 2, 2],
      [1, 3, 3, 3],
    ] as const;
    const { tree } = treeOf(...prompts);
    tree.evict();
    expect(left(tree, prompts)).toEqual([0, 4, 4]);
    tree.evict();
    expect(left(tree, prompts)).toEqual([0, 0, 4]);
    tree.evict();
    expect(left(tree, prompts)).toEqual([0, 0, 0]);
  });

  test('all leaves requests what they use', () => {
    const { tree, source, publish } = treeOf([...a, ...b], [...c]);
    publish([...a], 'another');
    const found = tree.take('', [...a, ...b], 8);
    tree.clear();
    expect([tree.size, tree.evictable, source.live]).toEqual([0, 0, 2]);
    release(found);
    expect(source.live).toBe(0);
    publish([...a, ...b]);
    expect(tree.lookUp('', [...a, ...b], 8)).toBe(8);
    expect(tree.size).toBe(2);
  });
});
