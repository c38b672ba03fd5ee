// Finds names of files, in documents and in comments, that no file of the repository has. Called by test/docs.test.ts.
import { posix } from 'node:path';

/** A name in a document or in a comment that names no file. */
export interface StaleName {
  readonly file: string;
  readonly name: string;
}

/** A path from the root of the repository, or from the folder of the document: a file or a folder. */
const rootedPath = /(?<![\w./@-])(?:src|native|test|bench|workers|scripts|models|docs|examples)\/[\w./-]*\w/g;
/** A name with the ending of a source or a document, with or without folders before it. */
const fileName = /(?<![\w/.*-])[\w./-]*[\w-]\.(?:ts|mjs|sh|h|cpp|def|pml|md)\b(?![\w(])/g;
const link = /\]\((?!https?:|#)([^)#\s]+)(?:#[^)\s]*)?\)/g;

/** Names that belong to other projects. */
const foreignNames = new Set([
  'cblas.h',
  'docs/gguf.md',
  'ggml-common.h',
  'ggml.h',
  'include/llama.h',
  'llama.cpp',
  'llama.h',
  'napi.h',
]);
/** The kernel of the worked examples, and the name that stands for any kernel. */
const exampleName = /(^|\/)(clamp(_test)?|name)\.(h|cpp|ts)$/;

/**
 * The stale names in the documents (`.md`) and in the comments of the sources.
 * @param files texts by their paths from the root of the repository; names may be those of any of them
 */
export function findStaleNames(files: ReadonlyMap<string, string>): StaleName[] {
  const tree = new Tree(files.keys());
  return [...files].flatMap(([file, text]) => {
    const names = file.endsWith('.md') ? namesInDocument(file, text, tree) : namesInComments(text, tree);
    return [...names].map((name) => ({ file, name }));
  });
}

function namesInDocument(file: string, text: string, tree: Tree): Set<string> {
  const folder = posix.dirname(file);
  const isStale = (name: string) => !tree.has(name) && !tree.has(posix.join(folder, name));
  const stale = new Set<string>();
  for (const [path] of text.matchAll(rootedPath)) if (isStale(path)) stale.add(path);
  for (const [, path] of text.matchAll(link))
    if (!tree.has(posix.join(folder, path as string))) stale.add(path as string);
  for (const name of namesIn(text, tree)) stale.add(name);
  return new Set([...stale].filter(isOwn));
}

function namesInComments(text: string, tree: Tree): Set<string> {
  const comments = text.split('\n').map((line) => /(?:^|\s)\/\/.*|^\s*\/?\*.*/.exec(line)?.[0] ?? '');
  return new Set(namesIn(comments.join('\n'), tree).filter(isOwn));
}

/** Names of files that the tree does not have in any folder. */
function namesIn(text: string, tree: Tree): string[] {
  const names = [...text.matchAll(fileName)].map(([name]) => posix.normalize(name).replace(/^(\.\.\/)+/, ''));
  return names.filter((name) => !tree.hasEnding(name));
}

function isOwn(name: string): boolean {
  return !foreignNames.has(name) && !exampleName.test(name);
}

/** The files of the repository, their folders, and the endings of their paths. */
class Tree {
  readonly #paths = new Set<string>();
  readonly #endings = new Set<string>();

  constructor(files: Iterable<string>) {
    for (const file of files) {
      const parts = file.split('/');
      for (let count = 1; count <= parts.length; count++) this.#paths.add(parts.slice(0, count).join('/'));
      for (let from = 0; from < parts.length; from++) this.#endings.add(parts.slice(from).join('/'));
    }
  }

  /** Whether there is such a file or folder. */
  has(path: string): boolean {
    return this.#paths.has(path.replace(/\/$/, ''));
  }

  /** Whether a file's path is this, or ends with it. */
  hasEnding(name: string): boolean {
    return this.#endings.has(name);
  }
}
