// poolRows, recorded in programs: the bits of the oracle for every pooling, for texts that are whole and for those that are cut,
// in rows of any layout; what does not fit is refused. (native/test/pool_rows_test.cpp has the shapes.)
import { describe, expect, test } from 'vitest';
import type { ProgramBuilder } from '../../src/ops/calls/program-builder.js';
import { type PoolItem, poolItemFields, poolingKinds, writePoolItem } from '../../src/ops/rowwise/pool-rows.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { PooledStates } from '../support/oracles/pooled-states.js';
import { expectRejection } from '../support/rejections.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const dim = 37;
const lengths = [1, 12, 30, 5];
const rows = lengths.reduce((sum, length) => sum + length, 0);
const values = new Numbers(4).floats(rows * (dim + 2), 1);

const texts: PoolItem[] = poolingKinds.flatMap((pooling) =>
  [true, false].flatMap((normalize) =>
    lengths.map((total, index) => ({
      firstRow: lengths.slice(0, index).reduce((sum, length) => sum + length, 0),
      rows: total,
      from: 0,
      total,
      pooling,
      normalize,
      dimensions: index === 2 ? 20 : dim,
    })),
  ),
);

function expectedOf({ firstRow, total, ...pooling }: PoolItem): Float32Array {
  const pooled = new PooledStates(dim, total, pooling);
  for (let row = firstRow; row < firstRow + total; row++) {
    pooled.add(values.subarray(row * (dim + 2) + 1, row * (dim + 2) + 1 + dim));
  }
  const vector = new Float32Array(dim);
  vector.set(pooled.vector());
  return vector;
}

describe.each(isas)('on %s', (isa) => {
  test.each([1, 3])('gives the vectors of the oracle, on %i threads', async (threads) => {
    const engine = await engines({ threads, isa });
    using scope = engine.scope();
    const x = scope.tensor([rows, dim + 2], values).slice(null, [1, dim + 1]);
    using program = engine.program((p) => {
      const items = p.input([texts.length + 1, poolItemFields], 'i32');
      return { items, vectors: p.poolRows(x, { items }) };
    });
    const { items, vectors } = program.tensors;
    for (const [index, text] of texts.entries()) writePoolItem(items.data, index, text);
    writePoolItem(items.data, texts.length, undefined);
    await program.run();
    for (const [index, text] of texts.entries()) {
      const vector = vectors.toArray().subarray(index * dim, (index + 1) * dim);
      expect(firstBitDifference(vector, expectedOf(text))).toBeUndefined();
    }
  });
});

test('a text that comes in parts has the bits of the whole', async () => {
  const engine = await engines({ threads: 2 });
  using scope = engine.scope();
  const x = scope.tensor([rows, dim + 2], values).slice(null, [1, dim + 1]);
  using program = engine.program((p) => {
    const items = p.input([texts.length, poolItemFields], 'i32');
    const sums = p.input([texts.length, 2 * dim], 'i32');
    return { items, vectors: p.poolRows(x, { items, sums }) };
  });
  const { items, vectors } = program.tensors;
  for (let from = 0, step = 1; from < Math.max(...lengths); from += step, step++) {
    for (const [index, text] of texts.entries()) {
      const count = Math.min(step, text.total - from);
      const part = { ...text, firstRow: text.firstRow + from, from, rows: count };
      writePoolItem(items.data, index, count > 0 ? part : undefined);
    }
    await program.run();
  }
  for (const [index, text] of texts.entries()) {
    const vector = vectors.toArray().subarray(index * dim, (index + 1) * dim);
    expect(firstBitDifference(vector, expectedOf(text))).toBeUndefined();
  }
});

test('refuses tensors that do not fit, and rows that do not exist', async () => {
  const engine = await engines({ threads: 2 });
  using scope = engine.scope();
  const x = scope.tensor([4, 8], new Float32Array(32));
  const refuse = (record: (p: ProgramBuilder) => unknown, code: 'ERR_SHAPE' | 'ERR_DTYPE' | 'ERR_ARGUMENT') =>
    expectRejection(async () => engine.program(record), code);
  const items = (p: ProgramBuilder, fields = poolItemFields) => p.input([2, fields], 'i32');
  await refuse((p) => p.poolRows(x, { items: items(p, 7) }), 'ERR_SHAPE');
  await refuse((p) => p.poolRows(x, { items: p.input([2, poolItemFields]) }), 'ERR_DTYPE');
  await refuse((p) => p.poolRows(x, { items: items(p), sums: p.input([2, 8], 'i32') }), 'ERR_SHAPE');
  await refuse((p) => p.poolRows(x.reshape([2, 2, 8]), { items: items(p) }), 'ERR_SHAPE');
  await refuse((p) => p.poolRows(x, {} as never), 'ERR_ARGUMENT');
  using program = engine.program((p) => {
    const own = items(p);
    return { own, vectors: p.poolRows(x, { items: own }) };
  });
  writePoolItem(program.tensors.own.data, 1, { ...(texts[0] as PoolItem), firstRow: 4, dimensions: 8 });
  await expectRejection(program.run(), 'ERR_INDEX', /poolRows/);
});
