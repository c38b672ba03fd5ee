// Prepares `npm pack`, which runs it: refuses a build that is missing or not of these sources, and writes what the package
// says about its contents, prebuilds/SHA256SUMS and sbom.json. Compiles nothing: `pnpm build:all` does.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestOfNativeSources, sourcesFile } from './native-sources.mjs';
import { describeContents } from './sbom.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const addons = listFiles('prebuilds').filter((file) => /\.(node|wasm)$/.test(file));
if (addons.length === 0) fail('there is no addon in prebuilds');
const sources = digestOfNativeSources(root);
for (const addon of addons) {
  const stamp = join(root, dirname(addon), sourcesFile);
  const builtFrom = existsSync(stamp) ? readFileSync(stamp, 'utf8') : undefined;
  if (builtFrom !== sources) fail(`${addon} was built from other sources`);
}
for (const file of [...listFiles('src'), ...listFiles('workers')]) {
  if (/\.(ts|cjs)$/.test(file)) refuseOlder('dist/.built', file);
}

const sums = addons.map(
  (file) =>
    `${createHash('sha256')
      .update(readFileSync(join(root, file)))
      .digest('hex')}  ${file}\n`,
);
writeFileSync(join(root, 'prebuilds/SHA256SUMS'), sums.join(''));
writeFileSync(join(root, 'sbom.json'), `${JSON.stringify(describeContents(root, addons), null, 2)}\n`);

function listFiles(folder) {
  if (!existsSync(join(root, folder))) return [];
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => file.slice(root.length + 1)).sort();
}

function refuseOlder(built, source) {
  const builtAt = statSync(join(root, built), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (statSync(join(root, source)).mtimeMs > builtAt) fail(`${built} is older than ${source}`);
}

function fail(problem) {
  process.stderr.write(`tesserae: ${problem}: run \`pnpm build:all\`\n`);
  process.exit(1);
}
