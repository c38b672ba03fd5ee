// The addon as WebAssembly: chosen where there is no native one, with one warning; the same layout of records; its limits; damaged
// files. That it gives the same bits is shown in test/golden.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { bundledModelPath } from '../../src/base/package-files.js';
import { Engine } from '../../src/index.js';
import type { Addon } from '../../src/native/addon.js';
import { findAddon, loadAddon } from '../../src/native/load.js';
import { WebAssembly } from '../../src/native/wasm/webassembly.js';
import { expectRejection } from '../support/rejections.js';
import { isWithoutWasm, wasmFile } from '../support/running/wasm.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const folders = temporaryFolder();
afterAll(() => folders.remove());
afterEach(() => {
  delete process.env.TESSERAE_ADDON;
});

describe.skipIf(isWithoutWasm)('the WebAssembly addon', () => {
  const wasm = () => loadAddon({ addonPath: wasmFile });

  test('is what a package without a native addon loads, and says once that it is slow', async () => {
    const root = folders.file('package');
    mkdirSync(join(root, 'prebuilds/wasm'), { recursive: true });
    copyFileSync(wasmFile, join(root, 'prebuilds/wasm/tesserae.wasm'));
    const warnings: (Error & { code?: string })[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on('warning', listen);
    for (let i = 0; i < 2; i++) expect(findAddon({ root })).toBe(join(root, 'prebuilds/wasm/tesserae.wasm'));
    await new Promise(setImmediate);
    process.off('warning', listen);
    const ours = warnings.filter(({ code }) => code === 'TESSERAE_WASM');
    expect(ours.map(({ message }) => message)).toEqual([expect.stringMatching(/no native addon for .*slower/)]);
  });

  test('is named by TESSERAE_ADDON=wasm', () => {
    process.env.TESSERAE_ADDON = 'wasm';
    expect(findAddon()).toBe(wasmFile);
  });

  test('has the kernels, records and structures of the native addon', () => {
    const [native, other] = [loadAddon(), wasm()];
    expect(other.kernels).toEqual(native.kernels);
    // The stacks of the threads follow the scratch memory.
    expect({ ...other.layout, scratchBytes: 0 }).toEqual({ ...native.layout, scratchBytes: 0 });
    expect(other.products.portable).toEqual(native.products.portable);
    expect(other.defaultBlockSizes).toEqual(native.defaultBlockSizes);
    expect(other.isas).toEqual(['portable']);
    expect(wasm()).toBe(other);
  });

  test("gives a starting worker what it asks for without the stack, which is the main thread's until it has its own", () => {
    const memory = new WebAssembly.Memory({ initial: 256, maximum: 65_536, shared: true });
    const host = { now_ns: () => 0 };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasmFile)), {
      env: { memory },
      host,
    });
    const { __stack_pointer, ...functions } = exports as unknown as { __stack_pointer: { value: number } } & Record<
      string,
      (...numbers: number[]) => number
    >;
    const call = (name: string, ...numbers: number[]) => (functions[name] as (...all: number[]) => number)(...numbers);
    // Whoever uses it writes beyond the end of the memory.
    __stack_pointer.value = 0;
    for (let i = 0; i < 20; i++) call('layout', i);
    for (let i = 0; i < 6; i++) expect(call('product', i)).toBeGreaterThan(0);
    for (let i = 0; i < call('kernel_count'); i++) {
      expect(call('kernel_name', i)).toBeGreaterThan(0);
      expect(call('kernel_param_words', i)).toBeGreaterThan(0);
    }
    const control = 8 << 20;
    expect(call('seat_count', control)).toBe(0);
    expect(call('stack_of', control, 0)).toBeGreaterThan(0);
    // The others need it.
    expect(() => call('check_program', control, control, 1)).toThrow(/out of bounds/);
  });

  test('computes with several threads and gives the bits of the native addon', async () => {
    const results: Uint8Array[] = [];
    for (const addonPath of [undefined, wasmFile]) {
      await using engine = await Engine.create({ threads: 3, isa: 'portable', memoryBudget: 2 ** 28, addonPath });
      expect(engine.stats().addon).toBe(addonPath === undefined ? 'native' : 'wasm');
      using scope = engine.scope();
      const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * i));
      const a = scope.tensor([150, 130], values(150 * 130));
      const b = scope.tensor([130, 170], values(130 * 170));
      for (let i = 0; i < 20; i++) scope.track(await engine.matmul(a, b));
      const c = scope.track(await engine.matmul(a, b, { activation: 'gelu' }));
      results.push(new Uint8Array(Float32Array.from(c.data).buffer));
    }
    expect(results[1]).toEqual(results[0]);
  });

  test('cancels, fails and ends like the native addon', async () => {
    const engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 28, addonPath: wasmFile });
    const a = engine.tensor([600, 600]);
    const abort = new AbortController();
    const running = engine.matmul(a, a, { signal: abort.signal });
    abort.abort();
    await expect(running).rejects.toThrow(/abort/i);
    const table = engine.tensor([4, 8]);
    const ids = engine.tensor([2], 'i32', Int32Array.of(1, 9));
    await expectRejection(engine.embedding(table, ids), 'ERR_INDEX');
    await engine.close();
    await expectRejection(engine.matmul(a, a), 'ERR_ENGINE_CLOSED');
  });

  test('uses the memory of what was freed', async () => {
    const addon = wasm();
    await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 30, addonPath: wasmFile });
    const places = new Set<number>();
    for (let i = 0; i < 8; i++) {
      const big = engine.tensor([2 ** 22], 'i8');
      expect(big.data.includes(1)).toBe(false);
      places.add(addon.addressOf(big.data));
      big.data.fill(1);
      big[Symbol.dispose]();
      engine.trim();
    }
    expect(places.size).toBe(1);
  });

  test('refuses the option cache, since it maps no files', async () => {
    await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 28, addonPath: wasmFile });
    const loading = engine.loadModel(bundledModelPath(), { cache: folders.file('images') });
    await expectRejection(loading, 'ERR_ARGUMENT', /WebAssembly/);
  });

  test('takes 4 GiB at most', async () => {
    const options = { threads: 1, addonPath: wasmFile };
    await expectRejection(Engine.create({ ...options, memoryBudget: 2 ** 32 + 1 }), 'ERR_ARGUMENT', /WebAssembly/);
    await using engine = await Engine.create({ ...options, memoryBudget: 2 ** 32 });
    expect(engine.stats().pool.budgetBytes).toBeLessThan(2 ** 32);
  });

  test('checks what it is given as the native addon does', () => {
    const refused = (call: (addon: Addon) => unknown) => {
      for (const addon of [loadAddon(), wasm()])
        expect(() => call(addon)).toThrow(/typed array|Uint8Array|too short|not aligned|memory/);
    };
    refused((addon) => addon.addressOf({} as never));
    refused((addon) => addon.publish({} as never, 0, new Uint8Array(64), 1, 0));
    refused((addon) => addon.cancel(new Uint8Array(8), 0));
    expect(() => wasm().addressOf(new Uint8Array(8))).toThrow(TypeError);
  });

  test.each([
    ['that is empty', Buffer.alloc(0)],
    ['that is a text', Buffer.from('not a module')],
    ['that is cut off', isWithoutWasm ? Buffer.alloc(0) : readFileSync(wasmFile).subarray(0, 50_000)],
    ['that is another module', Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])],
  ])('says in one line that a file does not load %s', async (what, bytes) => {
    const addonPath = folders.file(`${what.replaceAll(' ', '-')}.wasm`);
    writeFileSync(addonPath, bytes);
    const error = await expectRejection(Engine.create({ addonPath }), 'ERR_NATIVE', /does not load/);
    expect(error.message).not.toContain('\n');
  });
});
