// An application that uses the installed package as a stranger would: embeds, generates, quantizes, and, unless told otherwise,
// computes all golden digests. smoke-app-bundle.mjs bundles it for a project of its own. Its argument, as JSON:
// { isa, isForced, addon, golden }: the kernel set that must be chosen, or that is forced, or none; 'native' or 'wasm';
// and { model, digests } or null. Prints one line.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from 'tesserae';
import { bundledModel } from 'tesserae/models';
import { goldenLines } from '../test/golden/golden-lines.ts';

const { isa, isForced = false, addon = 'native', golden } = JSON.parse(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-smoke-'));
const newFile = (name) => join(folder, name);
const engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 29, isa: isForced ? isa : undefined });
try {
  if (isa !== undefined) assert.equal(engine.stats().isa, isa);
  assert.equal(engine.stats().addon, addon);
  const done = golden === null ? await smoke() : await compare(golden);
  process.stdout.write(`${process.arch}, Node ${process.versions.node}, ${addon}, ${engine.stats().isa}: ${done}\n`);
} finally {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Uses each kind of call once, with the bundled model and a quantized copy of it. */
async function smoke() {
  const quantized = newFile('q4_k.gguf');
  await engine.quantizeModel(bundledModel, quantized, { type: 'q4_k' });
  for (const path of [bundledModel, quantized]) {
    using model = await engine.loadModel(path);
    const { text } = await model.generate('In ', { maxTokens: 8, format: { regex: '[0-9]{4}' } }).result;
    assert.match(text, /^[0-9]{4}$/);
    const [one, other] = await model.embed(['a text', 'another text, a longer one']);
    assert.ok(one.length > 0 && one.length === other.length && one.every(Number.isFinite));
    assert.deepEqual(await model.embed('a text'), one);
  }
  return 'generated, embedded and quantized';
}

async function compare({ model, digests }) {
  const expected = readFileSync(digests, 'utf8').trimEnd().split('\n');
  const lines = await goldenLines(engine, model, newFile);
  assert.deepEqual(lines, expected);
  return `${lines.length} golden digests are equal`;
}
