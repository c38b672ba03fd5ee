// The programs in documents: finds the blocks of JavaScript, and runs one in a folder of its own with the built package, as a
// reader would. A block that imports nothing of the library is a fragment; it runs after a few lines that make its names.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { temporaryFolder } from '../temporary-folder.js';

const root = resolve(import.meta.dirname, '../../..');

export interface DocumentProgram {
  /** From the root of the repository, such as `docs/JOBS.md`. */
  readonly document: string;
  /** The last heading before it. */
  readonly heading: string;
  readonly text: string;
  /** The packages that it imports, Node's own left out. */
  readonly packages: readonly string[];
}

/** All blocks marked `js` in README.md and docs. */
export function documentPrograms(): DocumentProgram[] {
  const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)];
  return documents.filter((file) => file.endsWith('.md')).flatMap(programsOf);
}

function programsOf(document: string): DocumentProgram[] {
  const programs: DocumentProgram[] = [];
  let heading = '';
  let block: string[] | undefined;
  for (const line of readFileSync(join(root, document), 'utf8').split('\n')) {
    if (block === undefined) {
      if (/^#+ /.test(line)) heading = line.replace(/^#+ /, '');
      if (line === '```js') block = [];
    } else if (line === '```') {
      const text = `${block.join('\n')}\n`;
      const packages = [...text.matchAll(/from '((?:@[^/']+\/)?[^./'@][^/']*)[^']*'/g)].map(
        ([, name]) => name as string,
      );
      const ours = packages.filter((name) => !name.startsWith('node:'));
      programs.push({ document, heading, text, packages: [...new Set(ours)] });
      block = undefined;
    } else block.push(line);
  }
  return programs;
}

/** A folder with a package.json's place for programs: `tesserae` is the repository, other packages are its own. */
export class ProgramFolder {
  readonly #folder = temporaryFolder();
  #files = 0;

  /** Writes a program to a file, links what it imports, and gives the file's path. */
  write({ text, packages }: Pick<DocumentProgram, 'text' | 'packages'>): string {
    for (const name of packages) {
      const link = this.#folder.file(`node_modules/${name}`);
      mkdirSync(dirname(link), { recursive: true });
      try {
        symlinkSync(name === 'tesserae' ? root : join(root, 'node_modules', name), link);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
    const file = this.#folder.file(`program-${this.#files++}.mjs`);
    writeFileSync(file, text);
    return file;
  }

  /** Runs a program to its end. */
  run(program: Pick<DocumentProgram, 'text' | 'packages'>): { status: number | null; stdout: string; stderr: string } {
    const cwd = this.#folder.file('');
    const args = [this.write(program)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 60_000 });
    return { status, stdout, stderr };
  }

  remove(): void {
    this.#folder.remove();
  }
}
