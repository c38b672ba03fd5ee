// Single properties of tensors and of their errors: bytes of a part, keepers, arguments that throw, foreign pools, and what
// an object that is no tensor is taken for.
import { describe, expect, test } from 'vitest';
import { TesseraeError } from '../../src/base/errors.js';
import { internal } from '../../src/base/internal.js';
import type { Storage } from '../../src/tensor/memory/storage.js';
import { bytesOf, keeperOf, setKeeper, storageOf, Tensor } from '../../src/tensor/tensor.js';
import { expectError, makePool } from './support.js';

/** A storage over a buffer of its own, which is released once. */
function ownStorage(sizeBytes: number): Storage & { releases: number } {
  return {
    sizeBytes,
    address: 640,
    disposed: false,
    owner: undefined,
    buffer: new SharedArrayBuffer(sizeBytes + 8),
    byteOffset: 8,
    releases: 0,
    pin() {},
    unpin() {},
    release() {
      this.releases += 1;
    },
  };
}

describe('bytes of a tensor', () => {
  const x = makePool().tensor([3, 2], 'i8', [1, 2, 3, 4, 5, 6]);

  test('are those of a part of its memory', () => {
    expect([...bytesOf(x, 0, 6)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...bytesOf(x, 2, 3)]).toEqual([3, 4, 5]);
    expect([...bytesOf(x.slice([1]), 1, 3)]).toEqual([4, 5, 6]);
    expect([...bytesOf(x, 6, 0)]).toEqual([]);
    const halves = makePool().tensor([2, 1], 'f16', new Uint16Array([0x0201, 0x0403]));
    expect([...bytesOf(halves.slice([1]), 0, 2)]).toEqual([3, 4]);
    bytesOf(x, 0, 1)[0] = 9;
    expect(x.data[0]).toBe(9);
    x.data[0] = 1;
  });

  test('are not those beyond it, of a view with gaps, of a temporary, or of one that was disposed', () => {
    for (const [from, length] of [
      [-1, 2],
      [0, 7],
      [6, 1],
    ] as const) {
      const message = new RegExp(
        `^data: bytes ${from} to ${from + length} of i8 tensor \\[3, 2\\] cannot be accessed$`,
      );
      expectError(() => bytesOf(x, from, length), 'ERR_ARGUMENT', message);
    }
    expectError(() => bytesOf(x.transpose(), 0, 1), 'ERR_ARGUMENT', /cannot be accessed/);
    const temporary = new Tensor(internal, {
      dtype: 'i8',
      shape: [4],
      storage: { ...ownStorage(4), buffer: undefined },
    });
    expectError(() => bytesOf(temporary, 0, 1), 'ERR_ARGUMENT', /cannot be accessed/);
    const gone = makePool().tensor([1], 'i8');
    gone.dispose();
    expectError(() => bytesOf(gone, 0, 1), 'ERR_DISPOSED', /^data: /);
  });
});

test('a keeper is told of an early disposal, once', () => {
  const x = makePool().tensor([1]);
  const forgotten: Tensor[] = [];
  expect(keeperOf(x)).toBeUndefined();
  const keeper = { forget: (tensor: Tensor) => void forgotten.push(tensor) };
  setKeeper(x, keeper);
  expect(keeperOf(x)).toBe(keeper);
  x.dispose();
  x[Symbol.dispose]();
  expect([forgotten, keeperOf(x)]).toEqual([[x], undefined]);
});

describe('disposal', () => {
  test('releases the storage of an owner once, and never for a view or where it was released before', () => {
    const storage = ownStorage(8);
    const owner = new Tensor(internal, { dtype: 'i8', shape: [8], storage });
    owner.reshape([2, 4]).dispose();
    expect(storage.releases).toBe(0);
    const view = owner.reshape([4, 2]);
    owner.dispose();
    expect([storage.disposed, view.disposed]).toEqual([false, true]);
    owner[Symbol.dispose]();
    expect(storage.releases).toBe(1);
    const released = { ...ownStorage(8), disposed: true };
    new Tensor(internal, { dtype: 'i8', shape: [8], storage: released })[Symbol.dispose]();
    expect(released.releases).toBe(0);
  });

  test('is named as that of the tensor, or of the one that it views', () => {
    const pool = makePool();
    const message = (use: () => unknown) => {
      try {
        use();
      } catch (error) {
        return (error as Error).message;
      }
      return undefined;
    };
    const [x, y] = [pool.tensor([2]), pool.tensor([2])];
    const [view, other] = [x.reshape([2, 1]), y.reshape([2, 1])];
    expect([x.disposed, view.disposed]).toEqual([false, false]);
    x.dispose();
    other.dispose();
    expect([x.disposed, view.disposed, other.disposed, y.disposed]).toEqual([true, true, true, false]);
    expect(message(() => x.checkUsable())).toBe('f32 tensor [2] was disposed');
    expect(message(() => view.checkUsable())).toBe('f32 tensor [2, 1] views a tensor that was disposed');
    expect(message(() => other.checkUsable('add'))).toBe('add: f32 tensor [2, 1] was disposed');
    expect(message(() => y.checkUsable(undefined, pool))).toBeUndefined();
    expect(message(() => y.checkUsable(undefined, makePool()))).toBe('f32 tensor [2] belongs to another engine');
    expect(message(() => x.dispose())).toBe('f32 tensor [2] was disposed twice');
    // The storage alone, which something else may have released.
    storageOf(y).release?.();
    expect(message(() => y.checkUsable())).toBe('f32 tensor [2] was disposed');
  });
});

test('a view of a view has the first one as its base', () => {
  const x = makePool().tensor([2, 2]);
  const inner = x.slice([1]).reshape([2, 1]).transpose();
  expect([inner.base, inner.offset, inner.rank, inner.sizeBytes]).toEqual([x, 2, 2, 8]);
});

test('only what was constructed as a tensor is one', () => {
  const x = makePool().tensor([1]);
  expect([x, x.reshape([1, 1])].map((value) => value instanceof Tensor)).toEqual([true, true]);
  const likes = [null, undefined, 7, 'tensor', {}, Object.create(Tensor.prototype), { ...x }];
  expect(likes.map((value) => (value as object) instanceof Tensor)).toEqual(likes.map(() => false));
  expectError(() => new Tensor({} as never, {} as never), 'ERR_ARGUMENT', /engine\.tensor/);
  expect(() => Object.assign(x, { more: 1 })).toThrow(TypeError);
});

test('an argument that throws when it is read gives an error with the operation', () => {
  const x = makePool().tensor([2, 2]);
  const problem = new Error('no');
  const throwing = new Proxy([1], {
    get() {
      throw problem;
    },
  });
  for (const [op, use] of [
    ['reshape', () => x.reshape(throwing)],
    ['slice', () => x.slice(throwing as never)],
    ['expand', () => x.expand(throwing)],
  ] as const) {
    let error: unknown;
    try {
      use();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(TesseraeError);
    expect(error).toMatchObject({ op, cause: problem });
  }
});

describe('a layout', () => {
  const storage = ownStorage(24);
  const make = (options: object) => () => new Tensor(internal, { dtype: 'f32', shape: [2, 3], storage, ...options });

  test('lies within the storage', () => {
    expect(make({})().strides).toEqual([3, 1]);
    expect(make({ strides: [0, 1], offset: 3 })().isContiguous).toBe(false);
    expectError(make({ offset: 1 }), 'ERR_SHAPE', /^f32 tensor \[2, 3\] reaches to byte 28 of a storage of 24$/);
    // Without elements it covers nothing.
    expect(make({ offset: 900, shape: [0, 3] })().data).toHaveLength(0);
    expect(make({ offset: 900, shape: [0, 3] })().toArray()).toHaveLength(0);
  });

  test('has a stride of at least 0 for each dimension, and such an offset', () => {
    for (const options of [
      { strides: [-1, 1] },
      { strides: [1, 0.5] },
      { offset: -1 },
      { offset: 0.5 },
      { strides: [1, Number.NaN] },
      { offset: 2 ** 53 },
    ]) {
      const message = /^strides and offset must be non-negative integers, got strides \[.*\] and offset /;
      expectError(make(options), 'ERR_SHAPE', message);
    }
    for (const strides of [[1], [3, 1, 1]]) {
      const message = new RegExp(`^strides \\[${strides.join(', ')}\\] do not fit shape \\[2, 3\\]$`);
      expectError(make({ strides }), 'ERR_SHAPE', message);
    }
    const strides = [3, 1];
    const tensor = make({ strides })();
    strides[0] = 9;
    expect(tensor.strides).toEqual([3, 1]);
    expect([Object.isFrozen(tensor.strides), Object.isFrozen(tensor.shape)]).toEqual([true, true]);
  });

  test('that repeats elements cannot be written, unless there are none or one', () => {
    const x = make({ shape: [1, 3] })();
    expectError(() => x.expand([2, 3]).set([1, 2, 3, 4, 5, 6]), 'ERR_ARGUMENT', /^set: elements of the expanded view/);
    x.expand([0, 3]).set([]);
    x.slice(null, [0, 1]).expand([0, 3]).set([]);
    make({ shape: [1, 3], strides: [0, 1] })().set([1, 2, 3]);
    expect([...x.toArray()]).toEqual([1, 2, 3]);
  });
});
