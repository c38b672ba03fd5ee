// What callers reach through the public API cannot make native code read or write outside of its operands: no property
// can be replaced, no class constructed, no argument changed after its check. Each case crashed, or could.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine, PackedMatrix, QuantizedMatrix, Tensor, TensorScope, Workspace } from '../../src/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ threads: 2 });
});
afterAll(() => engine.close());

const Anything = (type: unknown) => type as new (...args: unknown[]) => object;
const argumentError = expect.objectContaining({ name: 'TesseraeError', code: 'ERR_ARGUMENT' });

describe('classes of the package', () => {
  const storage = { address: 0xdeadbeef00, sizeBytes: 2 ** 40, disposed: false, pin() {}, unpin() {} };
  const made: [string, unknown, unknown[]][] = [
    ['Tensor', Tensor, [{ dtype: 'f32', shape: [4], storage }]],
    ['Tensor', Tensor, [Symbol('tesserae.internal'), { dtype: 'f32', shape: [4], storage }]],
    ['PackedMatrix', PackedMatrix, [[4096, 4096], {}]],
    ['QuantizedMatrix', QuantizedMatrix, ['Q8_0', [65536, 4096], {}]],
    ['TensorScope', TensorScope, [{}]],
    ['Workspace', Workspace, [{}]],
    ['Engine', Engine, [{}]],
  ];
  test.each(made)('%s cannot be constructed', (_name, type, args) => {
    expect(() => new (Anything(type))(...args)).toThrow(argumentError);
    class Derived extends Anything(type) {}
    expect(() => new Derived(...args)).toThrow(argumentError);
  });

  test.each(made)('%s cannot be changed', (_name, type) => {
    expect(Object.isFrozen((type as { prototype: object }).prototype)).toBe(true);
    expect(Object.isFrozen(type)).toBe(true);
  });

  test('an object with the prototype of a class is not one of its objects', async () => {
    using x = engine.tensor([4, 4]);
    for (const type of [Tensor, PackedMatrix, QuantizedMatrix]) {
      const fake = Object.create(type.prototype);
      expect(fake).not.toBeInstanceOf(type);
      await expect(engine.matmul(x, fake)).rejects.toThrow(argumentError);
      await expect(engine.matmul(fake, x)).rejects.toThrow(argumentError);
    }
    const program = engine.program((p) => p.relu(x));
    await expect(engine.profile(Object.create(Object.getPrototypeOf(program)))).rejects.toThrow(argumentError);
    program.dispose();
  });
});

describe('properties', () => {
  const layout = { id: 1, dtype: 'i8', shape: [2 ** 20, 2 ** 20], strides: [2 ** 30, 1], offset: 2 ** 40 };
  const others = { storage: {}, base: undefined, size: 2 ** 40, isContiguous: true, address: 64, data: [], keeper: {} };

  function attack(object: object): void {
    for (const [name, value] of Object.entries({ ...layout, ...others, type: 'Q4_0', image: {} })) {
      expect(() => Object.defineProperty(object, name, { value }), name).toThrow(TypeError);
      expect(() => Object.assign(object, { [name]: value }), name).toThrow(TypeError);
    }
    expect(() => Object.setPrototypeOf(object, {})).toThrow(TypeError);
    const { shape } = object as { shape: number[] };
    expect(() => shape.push(2 ** 20)).toThrow(TypeError);
    expect(() => shape.fill(2 ** 20)).toThrow(TypeError);
  }

  test('a tensor has none that can be replaced, and its memory is no property', () => {
    using x = engine.tensor([4, 4]);
    attack(x);
    expect(x.shape).toEqual([4, 4]);
    expect('storage' in x).toBe(false);
  });

  test('nor have packed and quantized matrices', async () => {
    using b = engine.tensor([32, 32]);
    using packed = await engine.pack(b);
    attack(packed);
    using blocks = engine.tensor([34 * 4], 'i8');
    using quantized = await engine.packQuantized(blocks, { type: 'Q8_0', shape: [4, 32] });
    attack(quantized);
    using x = engine.tensor([2, 32]);
    (await engine.matmul(x, packed)).dispose();
    (await engine.matmul(x, quantized, { transposeB: true })).dispose();
  });
});

describe('arguments that change after their check', () => {
  test('the options of pack', async () => {
    using b = engine.tensor([16, 4096]);
    const options = { transposeB: false };
    const packing = engine.pack(b, options);
    options.transposeB = true;
    using packed = await packing;
    expect(packed.shape).toEqual([16, 4096]);
  });

  test('the shape of packQuantized, and a shape that answers differently each time', async () => {
    using blocks = engine.tensor([34 * 4], 'i8');
    const shape: [number, number] = [4, 32];
    const packing = engine.packQuantized(blocks, { type: 'Q8_0', shape });
    shape[0] = 65536;
    using quantized = await packing;
    expect(quantized.shape).toEqual([4, 32]);
    let reads = 0;
    const shifty = new Proxy([4, 32] as [number, number], {
      get: (target, key) => (key === '0' && ++reads > 1 ? 65536 : Reflect.get(target, key)),
    });
    using second = await engine.packQuantized(blocks, { type: 'Q8_0', shape: shifty });
    expect(second.shape).toEqual([4, 32]);
  });
});

test('entries for the ops of the library take no other op', async () => {
  using x = engine.tensor([4]);
  const op = {
    name: 'scale',
    parameters: [],
    inPlace: () => false,
    args: () => ({}),
    operands: () => [],
    infer: () => ({ shape: [4], dtype: 'f32' as const }),
    record(): void {
      throw new Error('recorded');
    },
  };
  await expect(engine.call(op, { out: x })).rejects.toThrow(argumentError);
  expect(() => engine.program((p) => p.record(op as never, {}))).toThrow(argumentError);
});
