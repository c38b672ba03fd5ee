// Bundles smoke-app.mjs for a project that has the package installed, and says what it compares. Used by try-package.mjs and
// try-arm64.mjs.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

export function bundleSmokeApp(outfile) {
  return build({
    entryPoints: [join(root, 'scripts/smoke-app.mjs')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: ['tesserae', 'tesserae/*'],
  });
}

/** The application's argument `golden`, by which it computes all golden digests. */
export function goldenArgument() {
  const card = JSON.parse(readFileSync(join(root, 'test/fixtures/models/card.json'), 'utf8'));
  return {
    model: {
      path: join(root, 'test/fixtures/models/tesserae-tiny-f32.gguf'),
      ids: card.check.ids.slice(0, 48),
      prompt: card.greedy.prompt,
    },
    digests: join(root, 'test/golden/digests.txt'),
  };
}
