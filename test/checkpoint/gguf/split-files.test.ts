// Split GGUF files: any part opens the whole model; parts that are missing or inconsistent are refused by name.
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../../src/base/errors.js';
import { writeGguf } from '../../../src/checkpoint/gguf/write-gguf.js';
import { openCheckpoint } from '../../../src/checkpoint/open-checkpoint.js';
import type { MetadataValue } from '../../../src/metadata/value-types.js';
import { modelFiles, someIds, tiny } from '../../support/models/model-files.js';
import type { LlamaContent } from '../../support/models/random-llama.js';
import { expectRejection } from '../../support/rejections.js';
import { sharedEngines } from '../../support/running/engines.js';
import { temporaryFolder } from '../../support/temporary-folder.js';

const write = modelFiles();
const engines = sharedEngines();
const folder = temporaryFolder();
afterAll(() => folder.remove());

let whole: string;
let content: LlamaContent;
let sets = 0;

beforeAll(async () => {
  whole = await write(tiny, (written) => {
    content = { metadata: new Map(written.metadata), tensors: [...written.tensors] };
  });
});

type Keys = Record<string, number | undefined>;

/** Writes the model in parts of some tensors each. @param change may damage a part's keys or its tensors */
async function split(
  change: (part: { index: number; keys: Keys; tensors: LlamaContent['tensors'] }) => void = () => {},
  count = 3,
): Promise<string[]> {
  const name = `m${sets++}`;
  const perPart = Math.ceil(content.tensors.length / count);
  const paths: string[] = [];
  for (let index = 0; index < count; index++) {
    const path = folder.file(`${name}-0000${index + 1}-of-0000${count}.gguf`);
    const tensors = content.tensors.slice(index * perPart, (index + 1) * perPart);
    const keys: Keys = { count, no: index, 'tensors.count': content.tensors.length };
    change({ index, keys, tensors });
    const own = Object.entries(keys).flatMap(([key, value]): [string, MetadataValue][] =>
      value === undefined ? [] : [[`split.${key}`, { type: key === 'tensors.count' ? 'i32' : 'u16', value }]],
    );
    await writeGguf(path, { metadata: index === 0 ? [...content.metadata, ...own] : own, tensors });
    paths.push(path);
  }
  return paths;
}

const openFiles = () => readdirSync('/proc/self/fd').length;

async function expectRefused(path: string, code: ErrorCode, message: RegExp) {
  const before = openFiles();
  await expectRejection(openCheckpoint(path), code, message);
  expect(openFiles()).toBe(before);
}

test('any part opens the model of the whole file', async () => {
  const engine = await engines({ threads: 2 });
  const ids = someIds(20, tiny.vocab);
  using single = await engine.loadModel(whole);
  const wanted = await single.logits(ids);
  const before = engine.stats().pool.rentedBytes;
  const files = openFiles();
  for (const path of await split()) {
    using model = await engine.loadModel(path);
    expect(model.info).toMatchObject({
      path,
      parameters: single.info.parameters,
      tensorTypes: single.info.tensorTypes,
    });
    expect(await model.logits(ids)).toEqual(wanted);
    expect(engine.stats().pool.rentedBytes).toBeGreaterThan(before);
  }
  expect(engine.stats().pool.rentedBytes).toBe(before);
  expect(openFiles()).toBe(files);
});

test('a file that says it is the only part may be named anything', async () => {
  const [path = ''] = await split(() => {}, 1);
  const plain = folder.file('plain.gguf');
  renameSync(path, plain);
  await using checkpoint = await openCheckpoint(plain);
  expect(checkpoint.tensors.size).toBe(content.tensors.length);
});

describe('parts are refused', () => {
  test('of which one is missing, whichever is opened', async () => {
    const paths = await split();
    rmSync(paths[1] as string);
    for (const path of [paths[0], paths[2]] as string[]) {
      await expectRefused(path, 'ERR_FILE', /is one part of a split model, and another is missing: .*-00002-of-00003/);
    }
    const others = await split();
    rmSync(others[0] as string);
    await expectRefused(others[1] as string, 'ERR_FILE', /another is missing: .*-00001-of-00003/);
  });

  test('that were renamed or exchanged', async () => {
    const paths = await split();
    const renamed = folder.file('renamed.gguf');
    renameSync(paths[0] as string, renamed);
    await expectRefused(
      renamed,
      'ERR_MODEL_FILE',
      /split\.count" is 3, so the file must be named like "model-00001-of/,
    );
    renameSync(paths[2] as string, paths[0] as string);
    await expectRefused(paths[0] as string, 'ERR_MODEL_FILE', /split\.no" is 2 .*file's name/);
    await expectRefused(paths[1] as string, 'ERR_MODEL_FILE', /00001-of-00003.*split\.no" is 2/);
  });

  const spoiled: [string, Parameters<typeof split>[0], number, RegExp][] = [
    [
      'that count differently',
      ({ index, keys }) => Object.assign(keys, index === 1 ? { count: 4 } : {}),
      0,
      /is 4, where 3 parts/,
    ],
    ['without their number', ({ index, keys }) => void (index === 2 && delete keys.no), 0, /split\.no" is missing/],
    ['one of which has no key for it', ({ index, keys }) => void (index === 1 && delete keys.count), 0, /missing/],
    [
      'with a tensor in two of them',
      ({ index, tensors }) => void (index === 1 && tensors.push(content.tensors[0] as (typeof tensors)[0])),
      0,
      /00002-of-00003.*tensor "token_embd\.weight" is also in .*00001-of-00003/,
    ],
    [
      'that lack a tensor',
      ({ index, tensors }) => void (index === 1 && tensors.pop()),
      1,
      /split\.tensors\.count" is 20, but the parts have 19 tensors/,
    ],
  ];
  test.each(spoiled)('%s', async (_what, change, opened, message) => {
    await expectRefused((await split(change))[opened] as string, 'ERR_MODEL_FILE', message);
  });
});
