// Every kernel set but the reference, and the addon as WebAssembly, gives the bits that digests.txt records: each op's conformance
// cases, the bundled model in each type that quantizeModel writes, and sampled tokens. After a change that is meant to change bits,
// `vitest run test/golden -u` writes the file anew.
import { afterAll, describe, expect, test } from 'vitest';
import type { EngineOptions } from '../../src/engine.js';
import { bundledModelF32Path, card } from '../support/models/bundled-model.js';
import { isas, sharedEngines } from '../support/running/engines.js';
import { isWithoutWasm, wasmFile } from '../support/running/wasm.js';
import { temporaryFolder } from '../support/temporary-folder.js';
import { goldenLines } from './golden-lines.js';

const engineOf = sharedEngines();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const model = { path: bundledModelF32Path, ids: card.check.ids.slice(0, 48), prompt: card.greedy.prompt };

// A set that is not built, or that the CPU is not seen to have, would otherwise be skipped in silence.
test('the kernel sets of TESSERAE_REQUIRE_ISAS are run', () => {
  const required = (process.env.TESSERAE_REQUIRE_ISAS ?? 'portable').split(',');
  expect(isas).toEqual(expect.arrayContaining(required));
});

const sets: readonly (readonly [name: string, options: EngineOptions])[] = [
  ...isas.filter((isa) => isa !== 'ref').map((isa) => [isa, { isa }] as const),
  ...(isWithoutWasm ? [] : [['WebAssembly', { addonPath: wasmFile }] as const]),
];

describe.each(sets)('%s', (set, options) => {
  test('gives the recorded bits', { timeout: 120_000 }, async () => {
    const engine = await engineOf({ threads: 2, ...options });
    const lines = await goldenLines(engine, model, (name) => folder.file(`${set}-${name}`));
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('digests.txt');
  });
});
