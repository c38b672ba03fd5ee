// bench/measuring/shapes.ts: names are unique, and flops are those that the ops report.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  attentionFlops,
  attentionShapes,
  matmulFlops,
  matmulShapes,
  shapeNamed,
} from '../../../bench/measuring/shapes.js';
import { Engine } from '../../../src/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ threads: 1 });
});
afterAll(() => engine.close());

test('names are unique', () => {
  const names = [...matmulShapes, ...attentionShapes].map(({ name }) => name);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  expect(shapeNamed(matmulShapes, 'square_512')).toMatchObject({ m: 512, n: 512, k: 512 });
  expect(() => shapeNamed(matmulShapes, 'square_513')).toThrow(RangeError);
});

describe('flops', () => {
  // Recorded, not run. The largest are left out: recording takes their memory.
  test.each(matmulShapes.filter((shape) => matmulFlops(shape) < 5e9))('of matmul, $name', (shape) => {
    const { m, n, k, batch = 1, transposeB = false } = shape;
    using program = engine.program((p) => {
      const b = p.input(transposeB ? [batch, n, k] : [batch, k, n]);
      return p.matmul(p.input([batch, m, k]), b, { transposeB });
    });
    expect(program.flops).toBe(matmulFlops(shape));
  });

  test.each(attentionShapes.filter(({ causal }) => !causal))('of attention, $name', (shape) => {
    const { batch, heads, kvHeads, queries, keys, dim } = shape;
    using program = engine.program((p) => {
      const k = p.input([batch, kvHeads, keys, dim]);
      return p.attention(p.input([batch, heads, queries, dim]), k, k);
    });
    expect(program.flops).toBe(attentionFlops(shape));
  });

  test('of causal attention: each query counts the keys that it sees', () => {
    const shape = shapeNamed(attentionShapes, 'attention_odd');
    let seen = 0;
    for (let query = 0; query < shape.queries; query++) seen += query + 1 + shape.keys - shape.queries;
    expect(attentionFlops(shape)).toBe(4 * shape.batch * shape.heads * shape.dim * seen);
    expect(attentionFlops(shapeNamed(attentionShapes, 'attention_decode'))).toBe(4 * 12 * 64 * 16_384);
  });
});
