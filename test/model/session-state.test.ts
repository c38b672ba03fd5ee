// Saved sessions: the same bits after loading, the same bytes for the same state, and a refusal of all else.
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { modelFiles, small, someIds, tiny } from '../support/models/model-files.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';
import { nativeFile, runsOnWasm } from '../support/running/wasm.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const engines = sharedEngines();
const write = modelFiles();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const wide = { ...small, dim: 256, heads: 4, kvHeads: 2 };

function expectSameMemory(engine: Engine, before: ReturnType<Engine['stats']>['pool']): void {
  const { rentedBytes, liveTensors } = engine.stats().pool;
  expect({ rentedBytes, liveTensors }).toEqual({ rentedBytes: before.rentedBytes, liveTensors: before.liveTensors });
}

describe('a saved session', () => {
  test.each(['f32', 'f16', 'q8_0'] as const)('goes on with the same bits, in %s', async (kvType) => {
    const path = await write(wide);
    const engine = await engines({ threads: 2 });
    for (const length of [0, 1, 31, 32, 33, 70]) {
      const file = folder.file(`${kvType}-${length}.kv`);
      const ids = someIds(length, wide.vocab);
      const next = [5, 6, 7];
      let expected: Float32Array;
      let bytes: Uint8Array;
      {
        using model = await engine.loadModel(path, { kvType });
        using session = model.session();
        if (length > 0) await session.append(ids);
        bytes = await session.save();
        await session.saveTo(file);
        expect(Buffer.compare(await readFile(file), bytes)).toBe(0);
        expected = await session.append(next);
        // What stood behind the tokens before is not part of the state.
        session.rewind(length);
        expect(Buffer.compare(await session.save(), bytes)).toBe(0);
      }
      // Another load of the file, on another number of threads, whatever its own type.
      const other = await engines({ threads: 1 });
      using model = await other.loadModel(path);
      for (const source of [bytes, file]) {
        using session = await model.loadSession(source);
        expect(session.tokens).toEqual(ids);
        using fork = session.fork();
        expect(firstBitDifference(await session.append(next), expected)).toBeUndefined();
        expect(firstBitDifference(await fork.append(next), expected)).toBeUndefined();
      }
    }
  });

  test('of another model, of other kernels, or longer than the context is refused', async () => {
    const engine = await engines({ threads: 2 });
    const path = await write(tiny);
    using model = await engine.loadModel(path);
    using session = model.session();
    await session.append(someIds(40, tiny.vocab));
    const bytes = await session.save();
    for (const shape of [{ ...tiny, seed: 2 }, { ...tiny, layers: 1 }, { ...tiny, ropeBase: 5000 }, small]) {
      using other = await engine.loadModel(await write(shape));
      await expectRejection(other.loadSession(bytes), 'ERR_SESSION_STATE', /another model/);
      const before = engine.stats().pool;
      await expectRejection(other.loadSession(bytes), 'ERR_SESSION_STATE', /another model/);
      expectSameMemory(engine, before);
    }
    using tight = await engine.loadModel(path, { contextLength: 39 });
    await expectRejection(tight.loadSession(bytes), 'ERR_CONTEXT', /40 tokens .* context of 39/);
    // WebAssembly has no other kernels; what it saved is loaded by the native ones of the same name.
    const addonPath = runsOnWasm ? nativeFile : undefined;
    const reference = await engines({ threads: 1, isa: 'ref', addonPath });
    using onReference = await reference.loadModel(path);
    if (engine.isa !== 'ref') await expectRejection(onReference.loadSession(bytes), 'ERR_SESSION_STATE', /kernels/);
    const portable = await engines({ threads: 1, isa: 'portable', addonPath });
    using onPortable = await portable.loadModel(path);
    if (engine.isa !== 'ref') (await onPortable.loadSession(bytes)).dispose();
  });

  test('that is damaged anywhere is refused, and leaves nothing behind', { timeout: 60_000 }, async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    using session = model.session();
    await session.append(someIds(33, tiny.vocab));
    const bytes = await session.save();
    (await model.loadSession(bytes)).dispose();
    const before = engine.stats().pool;
    const numbers = new Numbers(77);
    const positions = [
      ...Array.from({ length: 76 }, (_, index) => index),
      ...numbers.integers(40, 76, bytes.length - 1),
      bytes.length - 1,
    ];
    for (const position of positions) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = bytes.slice();
        damaged[position] = (damaged[position] as number) ^ flip;
        await expectRejection(model.loadSession(damaged), 'ERR_SESSION_STATE');
      }
    }
    for (const length of [0, 1, 7, 8, 40, 71, 72, 100, bytes.length - 33, bytes.length - 1]) {
      await expectRejection(model.loadSession(bytes.slice(0, length)), 'ERR_SESSION_STATE');
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    await expectRejection(model.loadSession(longer), 'ERR_SESSION_STATE');
    // Claims of any size take no memory.
    const huge = bytes.slice();
    new DataView(huge.buffer).setUint32(8 + 28, 0xffffffff, true);
    await expectRejection(model.loadSession(huge), 'ERR_SESSION_STATE', /4294967295 tokens take/);
    expectSameMemory(engine, before);
  });

  test('is read and written as files with clear errors', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(tiny));
    using session = model.session();
    await session.append([1, 2]);
    await expectRejection(session.saveTo(folder.file('no/such/folder')), 'ERR_FILE', /no such file/);
    await expectRejection(model.loadSession(folder.file('missing.kv')), 'ERR_FILE', /missing.kv/);
    await expectRejection(model.loadSession(folder.file('.')), 'ERR_FILE');
    await writeFile(
      folder.file('other.kv'),
      'a text that is longer than the header of a state by more than a few bytes, so',
    );
    await expectRejection(model.loadSession(folder.file('other.kv')), 'ERR_SESSION_STATE', /no saved session/);
    for (const source of [undefined, 3, {}, [1]]) {
      await expectRejection(model.loadSession(source as unknown as string), 'ERR_ARGUMENT');
    }
    await expectRejection(model.loadSession(new Uint8Array(8), { size: 1 } as object), 'ERR_ARGUMENT');
  });

  test('is saved while nothing else happens to it, and an abort leaves nothing', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(await write(small));
    const session = model.session();
    await session.append(someIds(400, small.vocab));
    const saving = session.save();
    await expectRejection(session.append([1]), 'ERR_BUSY');
    await expectRejection(session.save(), 'ERR_BUSY');
    const bytes = await saving;
    const before = engine.stats().pool;
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expectAbort(session.save({ signal }), reason);
    await expectAbort(model.loadSession(bytes, { signal }), reason);
    const path = folder.file('aborted.kv');
    await expectAbort(session.saveTo(path, { signal }), reason);
    await expectRejection(model.loadSession(path), 'ERR_FILE');
    expectSameMemory(engine, before);
    session.dispose();
    await expectRejection(session.save(), 'ERR_DISPOSED');
  });
});
