// Copying elements between arrays and tensor memory: which arrays give which element type, which values fit, and the order
// of elements in views, on fixed examples.
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { checkDType, type DType, dtypes } from '../../../src/tensor/elements/dtype.js';
import {
  checkData,
  inferDType,
  readElements,
  sharedView,
  type TensorData,
  writeElements,
} from '../../../src/tensor/elements/elements.js';
import type { Layout } from '../../../src/tensor/layout/layout.js';
import { expectError } from '../support.js';

const names = Object.keys(dtypes) as DType[];

describe('element types', () => {
  test('have the sizes of their arrays, and codes of their own', () => {
    const sizes = names.map((dtype) => [dtype, dtypes[dtype].sizeBytes, dtypes[dtype].code]);
    expect(sizes).toEqual([
      ['f32', 4, 0],
      ['f16', 2, 1],
      ['i8', 1, 2],
      ['i32', 4, 3],
      ['bf16', 2, 4],
    ]);
    const buffer = new SharedArrayBuffer(16);
    const views = names.map((dtype) => sharedView(dtype, buffer, 8, 2));
    expect(views.map((view) => view.constructor)).toEqual([
      Float32Array,
      Uint16Array,
      Int8Array,
      Int32Array,
      Uint16Array,
    ]);
    for (const view of views) expect([view.buffer, view.byteOffset, view.length]).toEqual([buffer, 8, 2]);
  });

  test('are checked by name', () => {
    for (const name of names) expect(checkDType(name)).toBe(name);
    for (const value of ['f64', 'toString', '', 'F32', undefined, 7, ['f32'], { toString: () => 'f32' }]) {
      expectError(() => checkDType(value), 'ERR_DTYPE', /^expected one of f32, f16, i8, i32, bf16, got /);
    }
    expectError(() => checkDType('f64', 'add'), 'ERR_DTYPE', /^add: expected one of .*, got "f64"$/);
  });

  test('follow from the type of an array, also of another realm', () => {
    const inferred: [TensorData, DType][] = [
      [[1], 'f32'],
      [new Float32Array(1), 'f32'],
      [new Float64Array(1), 'f32'],
      [new Int8Array(1), 'i8'],
      [new Uint16Array(1), 'f16'],
      [new Int32Array(1), 'i32'],
      [runInNewContext('new Int8Array(1)') as Int8Array, 'i8'],
      [runInNewContext('[1]') as number[], 'f32'],
    ];
    for (const [data, dtype] of inferred) expect(inferDType(data, 'tensor')).toBe(dtype);
    for (const data of [new Uint8Array(1), new Int16Array(1), new Uint32Array(1)]) {
      const message = new RegExp(`^tensor: ${data.constructor.name} data needs an element type`);
      expectError(() => inferDType(data, 'tensor'), 'ERR_DTYPE', message);
    }
    const throwing = new Proxy([], {
      get() {
        throw new Error('no');
      },
    });
    for (const data of [undefined, null, 7, '12', {}, new BigInt64Array(1), new ArrayBuffer(4), throwing]) {
      expectError(() => inferDType(data, 'tensor'), 'ERR_ARGUMENT', /^tensor: expected an array of numbers, got /);
      expectError(() => checkData(data, 'f32', [1], 'set'), 'ERR_ARGUMENT', /^set: expected an array of numbers, got /);
    }
  });
});

describe('data', () => {
  const accepts = (data: TensorData, dtype: DType) => expect(checkData(data, dtype, [2], 'set')).toBe(data);
  const refuses = (data: unknown, dtype: DType, message: RegExp) =>
    expectError(() => checkData(data, dtype, [2], 'set'), 'ERR_ARGUMENT', message);

  test('has as many values as the shape has elements', () => {
    accepts([1, 2], 'f32');
    for (const data of [[1], [1, 2, 3], new Float32Array(1)]) {
      const message = `^set: \\[2\\] has 2 elements, got ${data.length} values$`;
      expectError(() => checkData(data, 'f32', [2], 'set'), 'ERR_SHAPE', new RegExp(message));
    }
    expect(checkData([], 'i8', [2, 0], 'set')).toEqual([]);
    expect(checkData([7], 'i8', [], 'set')).toEqual([7]);
  });

  test('of integers has integers in the range of the type', () => {
    for (const [dtype, least, most] of [
      ['i8', -128, 127],
      ['i32', -(2 ** 31), 2 ** 31 - 1],
    ] as const) {
      accepts([least, most], dtype);
      accepts(Float64Array.of(least, most), dtype);
      for (const wrong of [least - 1, most + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        refuses([0, wrong], dtype, new RegExp(`^set: value 1 does not fit ${dtype}: `));
        refuses(Float64Array.of(wrong, 0), dtype, new RegExp(`^set: value 0 does not fit ${dtype}: `));
      }
      for (const wrong of ['1', undefined, null, 1n]) refuses([0, wrong], dtype, /value 1 does not fit/);
    }
    accepts(Int8Array.of(-128, 127), 'i8');
    accepts(Int32Array.of(-128, 127), 'i8');
    accepts(Uint8Array.of(0, 127), 'i8');
    refuses(Uint8Array.of(0, 128), 'i8', /value 1 does not fit i8: 128/);
    refuses(Int16Array.of(0, 128), 'i8', /value 1/);
    refuses(Int32Array.of(0, -129), 'i8', /value 1/);
    for (const data of [Int8Array.of(-1, 1), Uint8Array.of(255, 0), Int16Array.of(-1, 1), Int32Array.of(-1, 1)]) {
      accepts(data, 'i32');
    }
    accepts(Uint32Array.of(0, 2 ** 31 - 1), 'i32');
    refuses(Uint32Array.of(0, 2 ** 31), 'i32', /value 1 does not fit i32: 2147483648/);
  });

  test('of an array has numbers only, for types that take any number', () => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      accepts([Number.NaN, 1e300], dtype);
      accepts(Uint32Array.of(1, 2), dtype);
      for (const wrong of ['1', undefined, null, 1n])
        refuses([0, wrong], dtype, /^set: value 1 must be a number, got /);
      refuses(new Array(2), dtype, /value 0 must be a number/);
    }
  });

  test('in a Uint16Array is bits, which only types of 16 bits have', () => {
    accepts(Uint16Array.of(1, 2), 'f16');
    accepts(Uint16Array.of(1, 2), 'bf16');
    for (const dtype of ['f32', 'i8', 'i32'] as const) {
      refuses(
        Uint16Array.of(1, 2),
        dtype,
        new RegExp(`^set: a Uint16Array holds f16 or bf16 bits and does not fit a ${dtype} tensor$`),
      );
    }
  });
});

describe('elements of a view', () => {
  const layouts: [string, Omit<Layout, 'dtype' | 'offset'>, number[]][] = [
    ['packed', { shape: [2, 3], strides: [3, 1] }, [0, 1, 2, 3, 4, 5]],
    ['transposed', { shape: [3, 2], strides: [1, 3] }, [0, 3, 1, 4, 2, 5]],
    ['with steps', { shape: [2, 2], strides: [6, 2] }, [0, 2, 6, 8]],
    ['in one dimension', { shape: [3], strides: [2] }, [0, 2, 4]],
    ['of one element', { shape: [1, 1], strides: [9, 9] }, [0]],
    ['of rank 0', { shape: [], strides: [] }, [0]],
    ['without elements', { shape: [2, 0], strides: [5, 7] }, []],
    ['of three dimensions in another order', { shape: [2, 2, 2], strides: [2, 4, 1] }, [0, 1, 4, 5, 2, 3, 6, 7]],
    [
      'of four dimensions that do not merge',
      { shape: [2, 2, 2, 2], strides: [1, 2, 4, 8] },
      [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
    ],
    ['of rows with gaps', { shape: [3, 2], strides: [4, 1] }, [0, 1, 4, 5, 8, 9]],
  ];
  const repeated: (typeof layouts)[number] = [
    'that is repeated',
    { shape: [2, 2, 2], strides: [0, 1, 0] },
    [0, 0, 1, 1, 0, 0, 1, 1],
  ];

  test.each([...layouts, repeated])('%s are read in row-major order', (_, { shape, strides }, places) => {
    const read = <D extends DType>(dtype: D, memory: Parameters<typeof readElements<D>>[0]) =>
      readElements(memory, { dtype, shape, strides, offset: 0 });
    const count = (least: number) => Array.from({ length: Math.max(places.length, 16) }, (_value, at) => least + at);
    const numbers = places.map((place) => 10 + place);
    const memory = (array: number[]) => array.slice(0, shape.includes(0) ? 0 : Math.max(...places) + 1);
    expect(read('f32', Float32Array.from(memory(count(10))))).toEqual(Float32Array.from(numbers));
    expect(read('i32', Int32Array.from(memory(count(10))))).toEqual(Int32Array.from(numbers));
    expect(read('i8', Int8Array.from(memory(count(10))))).toEqual(Int8Array.from(numbers));
    // 1, and the next numbers.
    const halves = places.map((place) => 1 + place / 1024);
    expect(read('f16', Uint16Array.from(memory(count(0x3c00))))).toEqual(Float32Array.from(halves));
    const brains = places.map((place) => 1 + place / 128);
    expect(read('bf16', Uint16Array.from(memory(count(0x3f80))))).toEqual(Float32Array.from(brains));
  });

  test.each(layouts)('%s are written in row-major order, and nothing else is', (_, { shape, strides }, places) => {
    const span = shape.includes(0) ? 0 : Math.max(...places) + 1;
    const wanted = (of: (at: number) => number) => {
      const memory = new Array<number>(span).fill(99);
      for (const [at, place] of places.entries()) memory[place] = of(at);
      return memory;
    };
    const write = <D extends DType>(dtype: D, values: TensorData, memory: Parameters<typeof writeElements<D>>[1]) => {
      writeElements(values, memory.fill(99) as typeof memory, { dtype, shape, strides, offset: 0 });
      return [...memory];
    };
    const values = places.map((_place, at) => at + 1);
    expect(write('f32', values, new Float32Array(span))).toEqual(wanted((at) => at + 1));
    expect(write('i8', Int32Array.from(values), new Int8Array(span))).toEqual(wanted((at) => at + 1));
    const halves = values.map((value) => 1 + value / 1024);
    expect(write('f16', halves, new Uint16Array(span))).toEqual(wanted((at) => 0x3c01 + at));
    const brains = Float64Array.from(values, (value) => 1 + value / 128);
    expect(write('bf16', brains, new Uint16Array(span))).toEqual(wanted((at) => 0x3f81 + at));
    // Bits stay as they are.
    for (const dtype of ['f16', 'bf16'] as const) {
      expect(write(dtype, Uint16Array.from(values), new Uint16Array(span))).toEqual(wanted((at) => at + 1));
    }
  });
});
