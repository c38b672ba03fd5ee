// A digest of the sources of the native addon. The build writes it beside each addon in prebuilds/, and prepack.mjs refuses an
// addon that was built from other sources: `pnpm build` makes that of this machine only.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The name of the file beside an addon that has the digest. */
export const sourcesFile = 'sources.txt';

/** One line of text, the same wherever the checkout is. */
export function digestOfNativeSources(root) {
  const files = readdirSync(join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(cpp|h|def|cmake|map|txt)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((file) => !file.startsWith('native/test/'));
  const hash = createHash('sha256');
  for (const file of ['CMakeLists.txt', ...files.sort()]) {
    const content = readFileSync(join(root, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return `${hash.digest('hex')}\n`;
}
