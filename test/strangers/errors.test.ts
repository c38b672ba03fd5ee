// Values that throw wherever they are asked, and arrays of billions of holes: every public entry ends in a TesseraeError.
import { describe, expect, test } from 'vitest';
import { describe as describeValue, messageOf } from '../../src/base/describe.js';
import { type Engine, ropeFrequencies } from '../../src/index.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { expectRejection } from '../support/rejections.js';
import { sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();

function trap(): never {
  throw new Error('trapped');
}
const traps = { get: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap, getPrototypeOf: trap };
const hostile: readonly unknown[] = [
  Symbol('x'),
  Object.create(null),
  new Proxy({}, traps),
  new Proxy([], traps),
  {
    toString: trap,
    valueOf: trap,
    get [Symbol.toStringTag]() {
      return trap();
    },
  },
  10n ** 1000n,
  () => {},
  Number.NaN,
  'x'.repeat(1 << 20),
];

test('text of any value is short, and making it does not throw', () => {
  for (const value of hostile) expect(describeValue(value).length).toBeLessThan(100);
  const error = new Error('x');
  Object.defineProperty(error, 'message', { get: trap });
  expect(messageOf(error)).toBe('an error without a message');
  expect(messageOf(new Proxy(error, traps))).toBeTypeOf('string');
  expect(describeValue('a\nb')).toBe('"a\\nb"');
  expect(describeValue([1, 2])).toBe('[1, 2]');
  expect(describeValue(['a', 2])).toBe('an array of 2');
  expect(describeValue(new Array(9).fill(0))).toBe('an array of 9');
  expect(describeValue(new Float32Array(1))).toBe('an object (Float32Array)');
});

async function settled(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return error;
  }
}

describe('hostile values', () => {
  async function calls(value: unknown): Promise<Record<string, () => unknown>> {
    const engine: Engine = await engines({ threads: 2 });
    const model = await engine.loadModel(bundledModelPath);
    const x = engine.tensor([4, 4]);
    const any = value as never;
    const getter = Object.defineProperty({}, 'signal', { get: trap, enumerable: true }) as never;
    return {
      tensor: () => engine.tensor(any),
      tensorType: () => engine.tensor([1], any),
      tensorData: () => engine.tensor([1], 'f32', any),
      reshape: () => x.reshape(any),
      slice: () => x.slice(any, any),
      expand: () => x.expand(any),
      matmulB: () => engine.matmul(x, any),
      matmulOptions: () => engine.matmul(x, x, { transposeA: any, transposeB: any }),
      matmulGetter: () => engine.matmul(x, x, getter),
      scale: () => engine.scale(x, any),
      copy: () => engine.copy(x, { dtype: any }),
      pack: () => engine.pack(any),
      packOptions: () => engine.pack(x, { transposeB: any }),
      packQuantized: () => engine.packQuantized(x as never, { type: any, shape: any }),
      program: () => engine.program(any),
      profile: () => engine.profile(any),
      close: () => engine.close({ drain: any }),
      loadModel: () => engine.loadModel(bundledModelPath, { contextLength: any, kvType: any }),
      loadGetter: () => engine.loadModel(bundledModelPath, getter),
      generate: () => model.generate(any, { maxTokens: 1 }).result,
      generateOption: () => model.generate('a', { maxTokens: any, temperature: any, stop: any }).result,
      generateGetter: () => model.generate('a', getter).result,
      batch: () => model.generateBatch(any),
      batchItem: () => model.generateBatch([any]),
      logits: () => model.logits(any),
      session: () => model.session({ onFull: any }),
      scopeTensor: () => engine.scope().tensor(any),
      workspace: () => engine.workspace().tensor('a', any),
      rope: () => ropeFrequencies(any),
    };
  }

  // Where a value is right, the call succeeds: a function records a program of nothing.
  const mayPass = new Set(['program', 'slice', 'scale']);

  test.each(hostile.map((value, index) => [index, value] as const))('%i', async (_index, value) => {
    for (const [name, call] of Object.entries(await calls(value))) {
      const result = await settled(call);
      if (result instanceof Error) expect(result, name).toMatchObject({ name: 'TesseraeError' });
      else expect(mayPass.has(name) || typeof value === 'string', `${name} passed`).toBe(true);
    }
  });
});

describe('huge arrays', () => {
  const holes = new Array(2 ** 32 - 1) as never[];

  test('are refused by their length', async () => {
    const engine = await engines({ threads: 2 });
    using model = await engine.loadModel(bundledModelPath);
    using x = engine.tensor([2]);
    using session = model.session();
    const started = performance.now();
    await expectRejection(model.generateBatch(holes), 'ERR_ARGUMENT');
    await expectRejection(model.generate(holes).result, 'ERR_CONTEXT');
    await expectRejection(model.embed(holes), 'ERR_ARGUMENT');
    await expectRejection(model.logits(holes), 'ERR_CONTEXT');
    await expectRejection(session.append(holes), 'ERR_ARGUMENT');
    await expectRejection(model.generate('a', { stop: holes }).result, 'ERR_ARGUMENT');
    expect(() => engine.tensor(holes)).toThrow(/at most 8 dimensions/);
    expect(() => x.set(holes)).toThrow(/has 2 elements/);
    expect(() => x.transpose(...(holes.slice(0, 9) as number[]))).toThrow(/dimensions/);
    await expectRejection(model.generate(new Array(1e7).fill(1)).result, 'ERR_CONTEXT');
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test('ropeFrequencies of more pairs than a head has', () => {
    for (const wrong of [2e9, 65_538, 3, 0, -2, 2.5, Number.NaN, '64']) {
      expect(() => ropeFrequencies(wrong as number)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    }
    expect(() => ropeFrequencies(64, 0)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(ropeFrequencies(4)).toEqual(Float32Array.of(1, 0.01));
  });
});
