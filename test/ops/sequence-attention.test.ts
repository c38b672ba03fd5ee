// sequenceAttention, recorded in programs: the bits of `attention` of each sequence alone, in any layout of the operands; what
// does not fit is refused. (native/test/sequence_attention_test.cpp has the shapes.)
import { describe, expect, test } from 'vitest';
import { planSequences, sequenceCut } from '../../src/forward/encoder/sequence-work.js';
import { sequenceItemFields } from '../../src/ops/attention/sequence-attention.js';
import type { ProgramBuilder } from '../../src/ops/calls/program-builder.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../support/numbers.js';
import { expectRejection } from '../support/rejections.js';
import { isas, sharedEngines } from '../support/running/engines.js';

const engines = sharedEngines();
const lengths = [3, 1, 40, 70, 17];
const padding = 5;
const rows = lengths.reduce((sum, length) => sum + length, padding);
const [heads, kvHeads, dim, vDim] = [6, 2, 16, 24];

describe.each(isas)('on %s', (isa) => {
  test.each([1, 3])('has the bits of attention of each sequence alone, on %i threads', async (threads) => {
    const engine = await engines({ threads, isa });
    using scope = engine.scope();
    const operand = (count: number, width: number, seed: number): Tensor =>
      scope
        .tensor([rows, count + 1, width], new Numbers(seed).floats(rows * (count + 1) * width, 1))
        .slice(null, [1, count + 1]);
    const [q, k, v] = [operand(heads, dim, 1), operand(kvHeads, dim, 2), operand(kvHeads, vDim, 3)];
    const slopes = scope.tensor([heads], new Numbers(4).floats(heads, 1));
    for (const options of [{}, { window: 9, softcap: 1.5, slopes, scale: 0.3 }]) {
      const cut = sequenceCut({ heads, kvHeads }, rows, threads);
      using program = engine.program((p) => {
        const starts = p.input([cut.lists + 1], 'i32');
        const items = p.input([rows, sequenceItemFields], 'i32');
        planSequences(lengths, rows, cut, { starts: starts.data, items: items.data });
        const together = p.sequenceAttention(q, k, v, { work: { starts, items }, ...options });
        const asBatch = (x: Tensor) => x.transpose(1, 0, 2).unsqueeze(0);
        let first = 0;
        const alone = lengths.map((length) => {
          const [ownQ, ownK, ownV] = [q, k, v].map((x) => asBatch(x.slice([first, first + length])));
          first += length;
          const mixed = p.attention(ownQ as Tensor, ownK as Tensor, ownV as Tensor, options);
          return p.copy(mixed.squeeze(0).transpose(1, 0, 2));
        });
        return { together, alone };
      });
      await program.run();
      const together = program.tensors.together.toArray();
      const width = heads * vDim;
      let first = 0;
      for (const [index, length] of lengths.entries()) {
        const own = together.subarray(first * width, (first + length) * width);
        expect(firstBitDifference(own, (program.tensors.alone[index] as Tensor).toArray())).toBeUndefined();
        first += length;
      }
      expect(together.subarray(first * width).every((x) => x === 0)).toBe(true);
    }
  });
});

test('refuses tensors that do not fit, and rows that do not exist', async () => {
  const engine = await engines({ threads: 2 });
  using scope = engine.scope();
  const make = (shape: number[]) => scope.zeros(shape);
  const workOf = (p: ProgramBuilder, count = 8, lists = 1) => ({
    starts: p.input([lists + 1], 'i32'),
    items: p.input([count, sequenceItemFields], 'i32'),
  });
  const [q, k, v] = [make([8, 4, 16]), make([8, 2, 16]), make([8, 2, 24])];
  const refuse = (record: (p: ProgramBuilder) => unknown) =>
    expectRejection(async () => engine.program(record), 'ERR_SHAPE', /sequenceAttention/);
  await refuse((p) => p.sequenceAttention(q, make([8, 3, 16]), make([8, 3, 16]), { work: workOf(p) }));
  await refuse((p) => p.sequenceAttention(q, make([7, 2, 16]), v, { work: workOf(p) }));
  await refuse((p) => p.sequenceAttention(q, k, make([8, 1, 24]), { work: workOf(p) }));
  await refuse((p) => p.sequenceAttention(q.reshape([8, 64]), k, v, { work: workOf(p) }));
  await refuse((p) => p.sequenceAttention(q, k, v, { work: workOf(p, 7) }));
  await refuse((p) => p.sequenceAttention(q, k, v, { work: workOf(p, 8, 0) }));
  using program = engine.program((p) => {
    const work = workOf(p);
    return { work, y: p.sequenceAttention(q, k, v, { work }) };
  });
  const { starts, items } = program.tensors.work;
  starts.data.set([0, 1]);
  for (const item of [
    [0, 8, 0, 9],
    [0, 9, 0, 8],
    [4, 2, 5, 3],
    [-1, 2, 0, 8],
  ]) {
    items.data.set(item);
    await expectRejection(program.run(), 'ERR_INDEX', /sequenceAttention/);
  }
  items.data.set([0, 8, 0, 8]);
  await program.run();
});
