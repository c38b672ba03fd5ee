// The cases of the conformance suite for embedding, scatter, argmax, copy and crossEntropy.
import { elementCount } from '../../../src/tensor/layout/layout.js';
import { Numbers, roundedToHalf } from '../numbers.js';
import {
  broadcastAt,
  floatOperand,
  halfOperand,
  indexOperand,
  integerOperand,
  type OpCase,
  type Operand,
} from './op-case.js';
import { eachRow, softmaxRow } from './op-oracles.js';

interface EmbeddingSpec {
  readonly table: readonly number[];
  readonly ids: readonly number[];
  readonly half?: 'f16' | 'bf16';
}

const embeddingSpecs: readonly EmbeddingSpec[] = [
  { table: [1, 1], ids: [1] },
  { table: [5, 7], ids: [4] },
  { table: [5, 8], ids: [2, 3], half: 'f16' },
  { table: [9, 33], ids: [], half: 'f16' },
  { table: [50, 129], ids: [3, 1, 5] },
  { table: [700, 64], ids: [900] },
  { table: [700, 64], ids: [900], half: 'f16' },
  { table: [700, 64], ids: [900], half: 'bf16' },
  { table: [30, 13], ids: [9], half: 'bf16' },
  { table: [5, 0], ids: [2] },
  { table: [0, 4], ids: [0] },
];

export const embeddingCases = embeddingSpecs.map((spec, index): OpCase => {
  const numbers = new Numbers(900 + index);
  const [rows, columns] = spec.table as [number, number];
  const table =
    spec.half === undefined ? floatOperand(numbers, spec.table) : halfOperand(numbers, spec.table, spec.half);
  const ids = indexOperand(numbers, spec.ids, 0, Math.max(0, rows - 1));
  return {
    label: JSON.stringify(spec),
    operands: { table, ids },
    shape: [...spec.ids, columns],
    dtype: 'f32',
    exact: true,
    sameBitsOnAllIsas: true,
    call: (host, { table, ids }, out) => host.embedding(table!, ids!, out),
    expected: () =>
      Array.from(ids.values).flatMap((id) => Array.from(table.values.subarray(id * columns, (id + 1) * columns))),
  };
});

const scatterSpecs = [
  { x: [1, 1], rows: 1, ids: [1] },
  { x: [3, 7], rows: 5, ids: [3] },
  { x: [3, 8], rows: 5, ids: [3], half: true },
  { x: [2, 4, 5, 9], rows: 11, ids: [2, 1, 5] },
  { x: [2, 4, 5, 9], rows: 5, ids: [5], half: true },
  { x: [2, 8, 60, 64], rows: 70, ids: [2, 1, 60], half: true },
  { x: [600, 64], rows: 601, ids: [600] },
  { x: [0, 4], rows: 3, ids: [0] },
  { x: [3, 0], rows: 5, ids: [3] },
];

/** The ids of a sequence are a shuffled selection, so that no two tokens have the same row. */
function distinctIds(numbers: Numbers, shape: readonly number[], rows: number): Int32Array {
  const tokens = shape.at(-1) as number;
  const ids: number[] = [];
  while (ids.length < elementCount(shape)) {
    const left = Array.from({ length: rows }, (_, row) => row);
    for (let token = 0; token < tokens; token++)
      ids.push(left.splice(numbers.integer(0, left.length - 1), 1)[0] as number);
  }
  return Int32Array.from(ids);
}

export const scatterCases = scatterSpecs.map((spec, index): OpCase => {
  const numbers = new Numbers(930 + index);
  const x = floatOperand(numbers, spec.x);
  const ids: Operand = { dtype: 'i32', shape: spec.ids, values: distinctIds(numbers, spec.ids, spec.rows) };
  const shape = [...spec.x.slice(0, -2), spec.rows, spec.x.at(-1) as number];
  const initial = numbers.smallIntegers(elementCount(shape));
  return {
    label: JSON.stringify(spec),
    operands: { x, ids },
    shape,
    dtype: spec.half === true ? 'f16' : 'f32',
    initial,
    exact: true,
    sameBitsOnAllIsas: true,
    call: (host, { x, ids }, out) => host.scatter(x!, ids!, out),
    expected: () => {
      const [tokens, columns] = spec.x.slice(-2) as [number, number];
      const result = Float64Array.from(initial);
      const values = spec.half === true ? roundedToHalf(x.values as Float32Array) : x.values;
      for (let row = 0; row * columns < values.length; row++) {
        const id = broadcastAt(ids, spec.x.slice(0, -1), row);
        const start = (Math.floor(row / tokens) * spec.rows + id) * columns;
        result.set(values.subarray(row * columns, (row + 1) * columns), start);
      }
      return result;
    },
  };
});

const argmaxShapes = [[1], [7], [3, 8], [2, 5, 9], [2, 1, 3, 2, 1, 2, 2, 5], [4, 257], [300, 130], [2, 50_000], [0, 4]];

export const argmaxCases = argmaxShapes.flatMap((shape, index): OpCase[] => {
  const numbers = new Numbers(960 + index);
  // Small integers, so that the maximum occurs more than once and the first must be found.
  return [integerOperand(numbers, shape), floatOperand(numbers, shape)].map((x) => ({
    label: `${shape}`,
    operands: { x },
    shape: shape.slice(0, -1),
    dtype: 'i32',
    exact: true,
    sameBitsOnAllIsas: true,
    call: (host, { x }, out) => host.argmax(x!, out),
    expected: () => {
      const columns = shape.at(-1) as number;
      return Array.from({ length: elementCount(shape.slice(0, -1)) }, (_, row) => {
        const values = Array.from(x.values.subarray(row * columns, (row + 1) * columns));
        return values.indexOf(values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
      });
    },
  }));
});

/** From a single row to many classes; the targets are in range. */
const crossEntropyShapes = [
  [1],
  [7],
  [3, 8],
  [2, 5, 9],
  [2, 1, 3, 2, 1, 2, 2, 5],
  [4, 257],
  [300, 130],
  [2, 5000],
  [0, 4],
];

export const crossEntropyCases = crossEntropyShapes.map((shape, index): OpCase => {
  const numbers = new Numbers(1050 + index);
  const columns = shape.at(-1) as number;
  const logits = floatOperand(numbers, shape, 5);
  const targets = indexOperand(numbers, shape.slice(0, -1), 0, columns - 1);
  return {
    label: `${shape}`,
    operands: { logits, targets },
    shape: shape.slice(0, -1),
    dtype: 'f32',
    call: (host, { logits, targets }, out) => host.crossEntropy(logits!, targets!, out),
    expected: () => {
      return eachRow(logits.values, columns, (row, index) => [
        -Math.log(softmaxRow(row)[targets.values[index] as number] as number),
      ]);
    },
  };
});

const copyShapes = [[], [1], [9], [7, 17], [16, 24], [2, 3, 4, 5], [2, 1, 3, 2, 1, 2, 2, 5], [200, 300], [0, 3]];

export const copyCases = copyShapes.flatMap((shape, index): OpCase[] => {
  const numbers = new Numbers(990 + index);
  const float = floatOperand(numbers, shape);
  const half = halfOperand(numbers, shape);
  const bfloat = halfOperand(numbers, shape, 'bf16');
  const large = indexOperand(numbers, shape, -(2 ** 31), 2 ** 31 - 1);
  const byte: Operand = {
    dtype: 'i8',
    shape,
    values: Int8Array.from(numbers.integers(elementCount(shape), -128, 127)),
  };
  const conversions = [
    { x: float, dtype: 'f32' },
    { x: float, dtype: 'f16' },
    { x: half, dtype: 'f32' },
    { x: half, dtype: 'f16' },
    { x: float, dtype: 'bf16' },
    { x: bfloat, dtype: 'f32' },
    { x: bfloat, dtype: 'bf16' },
    { x: large, dtype: 'i32' },
    { x: byte, dtype: 'i8' },
  ] as const;
  return conversions.map(({ x, dtype }) => ({
    label: `${shape} ${x.dtype} to ${dtype}`,
    operands: { x },
    shape,
    dtype,
    exact: true,
    sameBitsOnAllIsas: true,
    call: (host, { x }, out) => host.copy(x!, { ...(x!.dtype !== dtype && { dtype }), ...out }),
    expected: () => (dtype === 'f16' || dtype === 'bf16' ? roundedToHalf(x.values as Float32Array, dtype) : x.values),
  }));
});
