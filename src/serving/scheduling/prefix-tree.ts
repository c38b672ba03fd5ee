// Finds what was computed of a prompt before: a tree of full pages, each node one page with its tokens. Prefixes are
// compared token by token, so that a collision can never give one prompt the keys of another. Pure; used by the scheduler.
import type { Page } from './page-source.js';

/** A page is worth copying where this part of it or more matches: nearly all prompts begin with the same few tokens. */
const leastShare = 4;

interface Node {
  readonly parent: Node | undefined;
  /** Those of the page, in order; empty in a root. */
  readonly tokens: Int32Array;
  /** Undefined in a root. */
  readonly page: Page | undefined;
  /** By their first token. */
  readonly children: Map<number, Node[]>;
  /** Neighbours in the order of use: the node used longest ago is first. */
  older: Node | undefined;
  newer: Node | undefined;
}

/** A page of which only the first tokens are those that were looked for. */
export interface PartlyMatching {
  readonly page: Page;
  /** How many. */
  readonly tokens: number;
}

export interface Found {
  /** The pages of all leading tokens that are in full pages of the tree. */
  readonly pages: Page[];
  /** The page after them that matches longest; undefined where none matches a quarter of a page. */
  readonly partly: PartlyMatching | undefined;
}

export class PrefixTree {
  readonly #positions: number;
  /** A root for each salt. */
  readonly #roots = new Map<string, Node>();
  #oldest: Node | undefined;
  #newest: Node | undefined;
  #size = 0;

  /** @param positions of a page */
  constructor(positions: number) {
    this.#positions = positions;
  }

  /** Pages in the tree, those that requests use included. */
  get size(): number {
    return this.#size;
  }

  /** How many pages can be given up: those that no request uses. */
  get evictable(): number {
    let count = 0;
    for (let node = this.#oldest; node !== undefined; node = node.newer) if (node.page?.isShared === false) count++;
    return count;
  }

  /** How many leading tokens are in full pages of the tree, at most `most`. Uses none. */
  lookUp(salt: string, ids: readonly number[], most: number): number {
    return this.#walk(salt, ids, most).length * this.#positions;
  }

  /** The pages of as many leading tokens as the tree has, at most `most`: each is used by the caller, too, from now on. */
  take(salt: string, ids: readonly number[], most: number): Found {
    const nodes = this.#walk(salt, ids, most);
    const next = this.#longestMatch(nodes.at(-1) ?? this.#roots.get(salt), ids, nodes.length * this.#positions, most);
    if (next !== undefined) this.#touch(next.node);
    for (const node of [...nodes].reverse()) this.#touch(node);
    const pages = nodes.map((node) => (node.page as Page).share());
    return { pages, partly: next && { page: (next.node.page as Page).share(), tokens: next.tokens } };
  }

  /**
   * Adds the page that holds the tokens from `from` on; the pages before it are in the tree. The tree becomes one more user
   * of the page, unless it has one with the same tokens.
   * @returns whether all pages before were found
   */
  publish(salt: string, ids: readonly number[], from: number, page: Page): boolean {
    const path = this.#walk(salt, ids, from);
    if (path.length * this.#positions !== from) return false;
    const parent = path.at(-1) ?? this.#root(salt);
    const tokens = Int32Array.from(ids.slice(from, from + this.#positions));
    if (this.#childOf(parent, ids, from) !== undefined) return true;
    const node: Node = { parent, tokens, page: page.share(), children: new Map(), older: undefined, newer: undefined };
    const first = tokens[0] as number;
    const siblings = parent.children.get(first);
    if (siblings === undefined) parent.children.set(first, [node]);
    else siblings.push(node);
    this.#size++;
    this.#append(node);
    for (let up: Node | undefined = parent; up?.page !== undefined; up = up.parent) this.#touch(up);
    return true;
  }

  /** Gives up the page used longest ago that no request uses and that no other page follows. */
  evict(): boolean {
    for (let node = this.#oldest; node !== undefined; node = node.newer) {
      if (node.children.size > 0 || node.page?.isShared !== false) continue;
      this.#drop(node);
      return true;
    }
    return false;
  }

  /** Gives up all that was published under a salt; what requests use stays theirs. */
  forget(salt: string): void {
    const root = this.#roots.get(salt);
    if (root === undefined) return;
    this.#roots.delete(salt);
    const drop = (node: Node): void => {
      for (const children of [...node.children.values()]) for (const child of [...children]) drop(child);
      if (node.page !== undefined) this.#drop(node);
    };
    drop(root);
  }

  clear(): void {
    for (const salt of [...this.#roots.keys()]) this.forget(salt);
  }

  #root(salt: string): Node {
    let root = this.#roots.get(salt);
    if (root === undefined) {
      root = {
        parent: undefined,
        tokens: new Int32Array(0),
        page: undefined,
        children: new Map(),
        older: undefined,
        newer: undefined,
      };
      this.#roots.set(salt, root);
    }
    return root;
  }

  #walk(salt: string, ids: readonly number[], most: number): Node[] {
    const path: Node[] = [];
    let node = this.#roots.get(salt);
    for (let from = 0; node !== undefined && from + this.#positions <= most; from += this.#positions) {
      node = this.#childOf(node, ids, from);
      if (node !== undefined) path.push(node);
    }
    return path;
  }

  #childOf(node: Node, ids: readonly number[], from: number): Node | undefined {
    const isNext = ({ tokens }: Node) => tokens.every((token, index) => token === ids[from + index]);
    return node.children.get(ids[from] as number)?.find(isNext);
  }

  /** The child with the most leading tokens of `ids` from `from` on, where these are at least a quarter of a page. */
  #longestMatch(
    parent: Node | undefined,
    ids: readonly number[],
    from: number,
    most: number,
  ): { readonly node: Node; readonly tokens: number } | undefined {
    let found: Node | undefined;
    let longest = Math.ceil(this.#positions / leastShare) - 1;
    const end = Math.min(most - from, this.#positions);
    for (const node of parent?.children.get(ids[from] as number) ?? []) {
      let tokens = 0;
      while (tokens < end && node.tokens[tokens] === ids[from + tokens]) tokens++;
      if (tokens <= longest) continue;
      longest = tokens;
      found = node;
    }
    return found && { node: found, tokens: longest };
  }

  #drop(node: Node): void {
    const siblings = node.parent?.children;
    const first = node.tokens[0] as number;
    const left = (siblings?.get(first) ?? []).filter((sibling) => sibling !== node);
    if (left.length > 0) siblings?.set(first, left);
    else siblings?.delete(first);
    this.#unlink(node);
    this.#size--;
    node.page?.release();
  }

  #touch(node: Node): void {
    this.#unlink(node);
    this.#append(node);
  }

  #append(node: Node): void {
    node.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
  }

  #unlink(node: Node): void {
    if (node.older === undefined) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === undefined) this.#newest = node.older;
    else node.newer.older = node.older;
    node.older = undefined;
    node.newer = undefined;
  }
}
