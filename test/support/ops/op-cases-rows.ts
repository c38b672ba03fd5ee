// The row-wise and element-wise cases of the conformance suite: norms, softmax, activations, arithmetic with
// broadcasting. op-cases-index.ts has the ops with indices.
import { broadcastShapes, elementCount } from '../../../src/tensor/layout/layout.js';
import { Numbers } from '../numbers.js';
import { broadcastAt, floatOperand, integerOperand, type OpCase, type Operand, type Values } from './op-case.js';
import { type ActivationName, activations, eachRow, layerNormRow, rmsNormRow, softmaxRow } from './op-oracles.js';

/** Columns around the 8 lanes of a vector, enough rows for all workers, many dimensions, and no elements. */
const rowShapes: readonly (readonly number[])[] = [
  [1],
  [7],
  [3, 8],
  [2, 5, 9],
  [4, 31],
  [2, 1, 3, 2, 1, 2, 2, 5],
  [2, 257],
  [300, 130],
  [3, 5000],
  [0, 4],
  [4, 0],
];

function rowCases(
  seed: number,
  make: (shape: readonly number[], numbers: Numbers) => OpCase[],
  shapes: readonly (readonly number[])[] = rowShapes,
): OpCase[] {
  return shapes.flatMap((shape, index) => make(shape, new Numbers(seed + index)));
}

const softmaxCases = rowCases(500, (shape, numbers) => {
  const x = floatOperand(numbers, shape, 5);
  return [
    {
      label: `${shape}`,
      operands: { x },
      shape,
      dtype: 'f32',
      call: (host, { x }, out) => host.softmax(x!, out),
      expected: () => eachRow(x.values, shape.at(-1) as number, softmaxRow),
    },
  ];
});

const rmsNormCases = rowCases(520, (shape, numbers) => {
  const columns = shape.at(-1) as number;
  const x = floatOperand(numbers, shape);
  const weight = floatOperand(numbers, [columns]);
  return [undefined, 0.1].map((eps): OpCase => {
    const operands: Record<string, Operand> = eps === undefined ? { x } : { x, weight };
    return {
      label: `${shape} eps ${eps}`,
      operands,
      shape,
      dtype: 'f32',
      call: (host, { x, weight }, out) => host.rmsNorm(x!, weight, { ...(eps !== undefined && { eps }), ...out }),
      expected: () => eachRow(x.values, columns, (row) => rmsNormRow(row, operands.weight?.values, eps ?? 1e-5)),
    };
  });
});

const layerNormCases = rowCases(540, (shape, numbers) => {
  const columns = shape.at(-1) as number;
  const x = floatOperand(numbers, shape);
  const weight = floatOperand(numbers, [columns]);
  const bias = floatOperand(numbers, [columns]);
  const optional: Record<string, Operand>[] = [{}, { weight, bias }, { bias }];
  return optional.map((given, index): OpCase => {
    const eps = index === 1 ? 0.1 : undefined;
    return {
      label: `${shape} ${Object.keys(given)}`,
      operands: { x, ...given },
      shape,
      dtype: 'f32',
      call: (host, { x, ...vectors }, out) =>
        host.layerNorm(x!, { ...vectors, ...(eps !== undefined && { eps }), ...out }),
      expected: () =>
        eachRow(x.values, columns, (row) => layerNormRow(row, given.weight?.values, given.bias?.values, eps ?? 1e-5)),
    };
  });
});

/** For element-wise ops, also sizes around their rows of 4096 elements, and scalars. */
const elementShapes = [...rowShapes, [], [4095], [4097], [3, 4096], [50_000]];

function elementCases(seed: number, name: Exclude<ActivationName, 'none'>): OpCase[] {
  return rowCases(
    seed,
    (shape, numbers) => {
      const x = floatOperand(numbers, shape, 4);
      return [
        {
          label: `${name} ${shape}`,
          operands: { x },
          shape,
          dtype: 'f32',
          sameBitsOnAllIsas: name === 'relu',
          call: (host, { x }, out) => host[name](x!, out),
          expected: () => Array.from(x.values, activations[name]),
        },
      ];
    },
    elementShapes,
  );
}

const siluMulCases = rowCases(
  580,
  (shape, numbers) => {
    const gate = floatOperand(numbers, shape, 4);
    const up = floatOperand(numbers, shape);
    return [
      {
        label: `${shape}`,
        operands: { gate, up },
        shape,
        dtype: 'f32',
        call: (host, { gate, up }, out) => host.siluMul(gate!, up!, out),
        expected: () => Array.from(gate.values, (x, i) => activations.silu(x) * (up.values[i] as number)),
      },
    ];
  },
  elementShapes,
);

const scaleCases = rowCases(
  600,
  (shape, numbers) => {
    const x = floatOperand(numbers, shape);
    const factor = Math.fround(-0.3);
    return [
      {
        label: `${shape}`,
        operands: { x },
        shape,
        dtype: 'f32',
        sameBitsOnAllIsas: true,
        call: (host, { x }, out) => host.scale(x!, factor, out),
        expected: () => Array.from(x.values, (value) => value * factor),
      },
    ];
  },
  elementShapes,
);

const broadcasts: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[3, 9], [9]],
  [[9], [3, 9]],
  [
    [3, 9],
    [3, 1],
  ],
  [
    [1, 9],
    [3, 1],
  ],
  [[3, 9], []],
  [[], []],
  [
    [4, 1, 7],
    [1, 5, 7],
  ],
  [
    [2, 3, 1, 2, 1, 2, 2, 3],
    [1, 2, 1, 2, 1],
  ],
  [
    [300, 130],
    [300, 1],
  ],
  [[300, 130], [130]],
  [[1], [2, 0]],
];

function binaryCases(seed: number, name: 'add' | 'mul'): OpCase[] {
  const compute = name === 'add' ? (a: number, b: number) => a + b : (a: number, b: number) => a * b;
  const pairs = [...elementShapes.map((shape) => [shape, shape] as const), ...broadcasts];
  return pairs.map(([shapeA, shapeB], index): OpCase => {
    const numbers = new Numbers(seed + index);
    const exact = index % 2 === 0;
    const make = exact ? integerOperand : floatOperand;
    const a = make(numbers, shapeA);
    const b = make(numbers, shapeB);
    const shape = broadcastShapes(shapeA, shapeB);
    return {
      label: `${name} [${shapeA}] [${shapeB}]`,
      operands: { a, b },
      shape,
      dtype: 'f32',
      exact,
      sameBitsOnAllIsas: true,
      call: (host, { a, b }, out) => host[name](a!, b!, out),
      expected: () => {
        const at = (operand: Operand, position: number) => broadcastAt(operand, shape, position);
        return Array.from({ length: elementCount(shape) }, (_, position) => compute(at(a, position), at(b, position)));
      },
    };
  });
}

const ropeSpecs = [
  { x: [3, 2, 8], positions: [3], pairs: 4 },
  { x: [3, 2, 8], positions: [3], pairs: 4, style: 'halfSplit' },
  { x: [2, 5, 3, 11], positions: [2, 5], pairs: 4 },
  { x: [2, 5, 3, 11], positions: [5], pairs: 5, style: 'halfSplit', magnitude: 0.7 },
  { x: [2, 2, 5, 3, 18], positions: [2, 1, 5], pairs: 9, magnitude: 1.5 },
  { x: [1, 1, 1], positions: [1], pairs: 0 },
  { x: [130, 4, 64], positions: [130], pairs: 32 },
  { x: [130, 4, 64], positions: [1], pairs: 20, style: 'halfSplit' },
  { x: [0, 2, 8], positions: [0], pairs: 4 },
] as const;

const ropeCases = ropeSpecs.map((spec, index): OpCase => {
  const numbers = new Numbers(640 + index);
  const { style, magnitude } = { style: 'interleaved' as const, magnitude: 1, ...spec };
  const shape: readonly number[] = spec.x;
  const x = floatOperand(numbers, shape);
  const count = elementCount(spec.positions);
  const positions: Operand = { dtype: 'i32', shape: spec.positions, values: numbers.integers(count, 0, 3000) };
  const frequencies = floatOperand(numbers, [spec.pairs], 2);
  const options = { style, magnitude };
  return {
    label: JSON.stringify(spec),
    operands: { x, positions, frequencies },
    shape,
    dtype: 'f32',
    call: (host, { x, positions, frequencies }, out) =>
      host.rope(x!, positions!, {
        frequencies: frequencies!,
        ...('style' in spec || 'magnitude' in spec ? options : {}),
        ...out,
      }),
    expected: () => {
      const [heads, dim] = shape.slice(-2) as [number, number];
      return eachRow(x.values, dim, (row, index) => {
        const position = broadcastAt(positions, shape.slice(0, -2), Math.floor(index / heads));
        return turnedRow(row, position, frequencies.values, style === 'halfSplit', magnitude);
      });
    },
  };
});

function turnedRow(row: number[], position: number, frequencies: Values, halfSplit: boolean, magnitude: number) {
  const turned = [...row];
  frequencies.forEach((frequency, pair) => {
    const [i, j] = halfSplit ? [pair, pair + frequencies.length] : [2 * pair, 2 * pair + 1];
    const [a, b] = [row[i] as number, row[j] as number];
    turned[i] = (a * Math.cos(position * frequency) - b * Math.sin(position * frequency)) * magnitude;
    turned[j] = (b * Math.cos(position * frequency) + a * Math.sin(position * frequency)) * magnitude;
  });
  return turned;
}

export const rowOpCases = {
  softmax: softmaxCases,
  rmsNorm: rmsNormCases,
  layerNorm: layerNormCases,
  rope: ropeCases,
  siluMul: siluMulCases,
  gelu: elementCases(700, 'gelu'),
  geluTanh: elementCases(720, 'geluTanh'),
  silu: elementCases(740, 'silu'),
  relu: elementCases(760, 'relu'),
  sigmoid: elementCases(780, 'sigmoid'),
  tanh: elementCases(800, 'tanh'),
  exp: elementCases(820, 'exp'),
  add: binaryCases(840, 'add'),
  mul: binaryCases(880, 'mul'),
  scale: scaleCases,
} satisfies Record<string, readonly OpCase[]>;
