// Images of weights, the option `cache`: the same bits from files, from an image that was just stored, and from one that was
// found; nothing damaged, foreign or outdated is mapped; nothing stays mapped; two processes share one copy.
import { execFile } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../../../src/engine.js';
import { modelPaths, someIds } from '../../support/models/model-files.js';
import { type RandomModel, writeRandomModel } from '../../support/models/random-model.js';
import { expectAbort, expectRejection } from '../../support/rejections.js';
import { sharedEngines } from '../../support/running/engines.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());
const library = new URL('../../../dist/src/index.js', import.meta.url).href;

const shape = {
  architecture: 'llama',
  layers: 2,
  dim: 256,
  heads: 8,
  kvHeads: 4,
  ffn: 512,
  vocab: 300,
  type: 'F32',
} as const;
const ids = someIds(9, shape.vocab);
let cases = 0;
let cache: string;
let path: string;
let engine: Engine;

beforeEach(async () => {
  engine = await engines({ threads: 2 });
  path = folder.file(`${++cases}.gguf`);
  cache = folder.file(`images-${cases}`);
});

function writeModel(model: RandomModel): Promise<void> {
  return writeRandomModel(path, { ...model, optional: (name) => name === 'output.weight' });
}

/** The logits of the model, and what loading it reports. */
async function logitsOf(options: { cache?: string } = { cache }) {
  using model = await engine.loadModel(path, options);
  const { mappedBytes, weightBytes } = model.info;
  return { logits: Array.from(await model.logits(ids)), mappedBytes, share: mappedBytes / weightBytes };
}

const images = () => readdirSync(cache).map((name) => join(cache, name));
const image = () => images()[0] as string;
const mappings = () =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(cache));

describe('the same bits', () => {
  test.each(['F32', 'F16', 'BF16', 'Q8_0', 'Q4_K'] as const)('%s', async (type) => {
    await writeModel({ ...shape, type });
    const { logits } = await logitsOf({});
    const rented = engine.stats().pool.rentedBytes;
    const stored = await logitsOf();
    const found = await logitsOf();
    for (const { logits: got, share } of [stored, found]) {
      expect(got).toEqual(logits);
      expect(share).toBeGreaterThan(0.5);
    }
    expect(images()).toHaveLength(1);
    expect(mappings()).toEqual([]);
    expect(engine.stats().pool.rentedBytes).toBe(rented);
  });

  test('of an encoder, and in generated text', async () => {
    const encoder = await write({ architecture: 'bert' });
    using plain = await engine.loadModel(encoder);
    const expected = await plain.embed(['The sea', 'and the land']);
    for (let load = 0; load < 2; load++) {
      using model = await engine.loadModel(encoder, { cache });
      expect(await model.embed(['The sea', 'and the land'])).toEqual(expected);
    }
  });

  test('mapped weights take nothing of the budget', async () => {
    await writeModel({ ...shape, dim: 512, vocab: 4000, type: 'F32' });
    await logitsOf();
    const small = await engines({ threads: 2, memoryBudget: 10 << 20 });
    await expectRejection(small.loadModel(path), 'ERR_BUDGET');
    using model = await small.loadModel(path, { cache });
    expect(small.stats().pool.rentedBytes).toBeLessThan(model.info.weightBytes / 4);
  });
});

describe('an image', () => {
  const damage: Record<string, (file: string) => void> = {
    'one bit in the weights': (file) => changed(file, (bytes) => flip(bytes, 1 << 17)),
    'one bit in the last sum': (file) => changed(file, (bytes) => flip(bytes, bytes.length - 1)),
    'the header': (file) => changed(file, (bytes) => flip(bytes, 20)),
    'a shorter file': (file) => truncateSync(file, statSync(file).size - 4),
    'an empty file': (file) => truncateSync(file, 0),
    'others may write to it': (file) => chmodSync(file, 0o622),
    'a link to a file elsewhere': (file) => {
      renameSync(file, join(dirname(file), '..', `moved-${cases}`));
      symlinkSync(join(dirname(file), '..', `moved-${cases}`), file);
    },
  };
  test.each(Object.keys(damage))('is made anew: %s', async (what) => {
    await writeModel({ ...shape, type: 'Q8_0' });
    const { logits } = await logitsOf();
    const good = readFileSync(image());
    damage[what]?.(image());
    expect((await logitsOf()).logits).toEqual(logits);
    expect(statSync(image()).mode & 0o777).toBe(0o400);
    expect(readFileSync(image()).equals(good)).toBe(true);
  });

  test('is of the files as they were: another one for files that changed', async () => {
    await writeModel({ ...shape, type: 'Q8_0' });
    await logitsOf();
    utimesSync(path, 1, 1);
    await logitsOf();
    expect(images()).toHaveLength(2);
    copyFileSync(path, `${path}.copy`);
    using model = await engine.loadModel(`${path}.copy`, { cache });
    expect(model.info.mappedBytes).toBeGreaterThan(0);
    expect(images()).toHaveLength(3);
  });

  test('is not needed: a warning says that none could be stored', async () => {
    await writeModel({ ...shape, type: 'Q8_0' });
    const { logits } = await logitsOf();
    const name = image();
    renameSync(name, `${name}.other`);
    mkdirSync(name);
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on('warning', listen);
    try {
      expect(await logitsOf()).toMatchObject({ logits, mappedBytes: 0 });
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('warning', listen);
    }
    expect(warnings).toMatchObject([{ code: 'TESSERAE_CACHE' }]);
    expect(readdirSync(cache)).toHaveLength(2);
  });

  test('is not left half written by a load that is aborted', async () => {
    await writeModel({ ...shape, type: 'Q8_0' });
    const rented = engine.stats().pool.rentedBytes;
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = () => controller.abort(reason);
    await expectAbort(engine.loadModel(path, { cache, signal: controller.signal, onProgress }), reason);
    expect(readdirSync(cache)).toEqual([]);
    expect(engine.stats().pool.rentedBytes).toBe(rented);
  });
});

describe('the folder', () => {
  test('is made with mode 0700', async () => {
    await writeModel({ ...shape, type: 'Q8_0' });
    await logitsOf();
    expect(statSync(cache).mode & 0o777).toBe(0o700);
  });

  test('must be one of this user alone', async () => {
    await writeModel({ ...shape, type: 'Q8_0' });
    mkdirSync(cache);
    chmodSync(cache, 0o755);
    await expectRejection(engine.loadModel(path, { cache }), 'ERR_ARGUMENT', /0700/);
    const file = folder.file('file');
    writeFileSync(file, '');
    await expectRejection(engine.loadModel(path, { cache: file }), 'ERR_FILE');
    await expectRejection(engine.loadModel(path, { cache: 7 as unknown as string }), 'ERR_ARGUMENT');
  });
});

test('two processes share one copy', async () => {
  await writeModel({ ...shape, dim: 512, heads: 8, vocab: 4000, type: 'F32' });
  await logitsOf();
  using model = await engine.loadModel(path, { cache });
  await model.logits(ids);
  const program = `
    import { readFileSync } from 'node:fs';
    import { Engine } from ${JSON.stringify(library)};
    const engine = await Engine.create({ threads: 2 });
    const model = await engine.loadModel(${JSON.stringify(path)}, { cache: ${JSON.stringify(cache)} });
    await model.logits([1, 2, 3]);
    const lines = readFileSync('/proc/self/smaps', 'utf8').split('\\n');
    const at = lines.findIndex((line) => line.endsWith('.weights'));
    const kB = (key) => Number(lines.slice(at).find((line) => line.startsWith(key + ':')).match(/\\d+/)[0]);
    console.log(JSON.stringify({ all: kB('Rss'), own: kB('Private_Clean') + kB('Private_Dirty') }));
    await engine.close();
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  const { all, own } = JSON.parse(stdout);
  expect(all * 1024).toBeGreaterThan(0.9 * model.info.mappedBytes);
  expect(own).toBeLessThan(all / 10);
});

function changed(file: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file);
  change(bytes);
  chmodSync(file, 0o600);
  writeFileSync(file, bytes);
  chmodSync(file, 0o400);
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] as number) ^ 1;
}
