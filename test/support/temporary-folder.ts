// A temporary folder for the files of one test file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Creates the folder. `file` gives the path of a file in it; `remove` removes it with all files. */
export function temporaryFolder(): { file(name: string): string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-test-'));
  return { file: (name) => join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
