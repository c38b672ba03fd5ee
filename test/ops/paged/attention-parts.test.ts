// Attention that is cut by key blocks, as programs record it: the bits of pagedAttention for any cut, on each set and for any
// number of threads, and a refusal of work lists that do not fit. (native/test/paged_attention_parts_test.cpp has the shapes.)
import { describe, expect, test } from 'vitest';
import { planRuns } from '../../../src/forward/attention-runs.js';
import type { ProgramBuilder } from '../../../src/ops/calls/program-builder.js';
import { itemFields, runFields } from '../../../src/ops/paged/step-rows.js';
import type { HeadNorms } from '../../../src/ops/rowwise/norm.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { firstBitDifference, Numbers } from '../../support/numbers.js';
import { isas, sharedEngines } from '../../support/running/engines.js';
import { stepCache } from '../../support/running/step-cache.js';

const engines = sharedEngines();
const heads = 6;
const sizes = { layers: 1, kvHeads: 2, headDim: 32, vDim: 32 };
const lengths = [257, 3, 700];
const count = lengths.length + 1; // the last row is padding
const best = isas.at(-1) as (typeof isas)[number];

function placed(p: ProgramBuilder) {
  const rows = { positions: p.input([count], 'i32'), sequences: p.input([count], 'i32') };
  rows.positions.data.set([...lengths.map((length) => length - 1), 0]);
  rows.sequences.data.set([...lengths.map((_, slot) => slot), -1]);
  return rows;
}

describe.each([...isas.map((isa) => [isa, 2] as const), ...[1, 3, 4, 5, 6, 7, 8].map((n) => [best, n] as const)])(
  'on %s with %i threads',
  (isa, threads) => {
    test.each([{}, { window: 300, softcap: 1.5, scale: 0.3 }])(
      'the bits are those of whole rows, with %o',
      async (options) => {
        const engine = await engines({ threads, isa });
        using scope = engine.scope();
        const cache = stepCache(scope, sizes, { slots: lengths.length, capacity: 768 });
        for (const [slot, length] of lengths.entries()) cache.grow(slot, length);
        const numbers = new Numbers(1);
        const frequencies = scope.tensor([8], numbers.floats(8, 1));
        const weights = { q: scope.tensor([32], numbers.floats(32, 1)), k: scope.tensor([32], numbers.floats(32, 1)) };
        const before = lengths.flatMap((length, slot) =>
          Array.from({ length: length - 1 }, (_, at) => [slot, at] as const),
        );
        using stored = engine.program((p) => {
          const positions = p.input([before.length], 'i32');
          const sequences = p.input([before.length], 'i32');
          positions.data.set(before.map(([, position]) => position));
          sequences.data.set(before.map(([slot]) => slot));
          const values = () => scope.tensor([before.length, 2, 32], numbers.floats(before.length * 64, 1));
          p.storeKeyValues(values(), values(), { cache: cache.first, rows: { positions, sequences } as never });
        });
        await stored.run();
        const projected = scope.tensor([count, heads + 4, 32], numbers.floats(count * (heads + 4) * 32, 1));
        const attend = async (lists: number, norms?: HeadNorms) => {
          using program = engine.program((p) => {
            const rows = placed(p);
            const all = p.copy(projected);
            const own = {
              k: all.slice(null, [heads, heads + 2]),
              v: all.slice(null, [heads + 2, heads + 4]),
              norms,
              rotation: { frequencies, style: 'halfSplit' as const },
            };
            const work = lists === 0 ? whole(p) : inParts(p, rows, lists, options.window);
            return p.pagedAttention(all.slice(null, [0, heads]), {
              cache: cache.first,
              rows: { ...rows, work },
              own,
              ...options,
            });
          });
          await program.run();
          return program.tensors.toArray() as Float32Array;
        };
        for (const norms of [undefined, { ...weights, eps: 0.01 }]) {
          const expected = await attend(0, norms);
          for (const lists of [1, 2, 5]) {
            expect(firstBitDifference(await attend(lists, norms), expected)).toBeUndefined();
          }
        }
      },
    );
  },
);

function whole(p: ProgramBuilder) {
  const work = { starts: p.input([2], 'i32'), items: p.input([count, itemFields], 'i32') };
  work.starts.data.set([0, lengths.length]);
  for (const slot of lengths.keys()) work.items.data.set([slot, 1, slot, 0], slot * itemFields);
  return work;
}

function inParts(
  p: ProgramBuilder,
  rows: { readonly positions: Tensor<'i32'>; readonly sequences: Tensor<'i32'> },
  lists: number,
  window: number | undefined,
) {
  const work = {
    starts: p.input([lists + 1], 'i32'),
    runs: p.input([count + lists, runFields], 'i32'),
    partStarts: p.input([count + 1], 'i32'),
    mostParts: 6,
  };
  planRuns({ positions: rows.positions.data, sequences: rows.sequences.data }, window, {
    starts: work.starts.data,
    runs: work.runs.data,
    partStarts: work.partStarts.data,
  });
  return work;
}

test('work lists of other sizes than the rows have are refused', async () => {
  const engine = await engines({ threads: 1 });
  using scope = engine.scope();
  const cache = stepCache(scope, sizes, { slots: 3, capacity: 768 });
  const q = scope.tensor([count, heads, 32], new Float32Array(count * heads * 32));
  for (const change of [
    { mostParts: 0 },
    { partStarts: scope.tensor([count], new Int32Array(count)) },
    { runs: scope.tensor([count, runFields], new Int32Array(count * runFields)) },
  ]) {
    const record = () =>
      engine.program((p) => {
        const rows = placed(p);
        const work = { ...inParts(p, rows, 2, undefined), ...change };
        return p.pagedAttention(q, { cache: cache.first, rows: { ...rows, work } as never });
      });
    expect(record).toThrow(expect.objectContaining({ code: expect.stringMatching(/ERR_(SHAPE|ARGUMENT)/) }));
  }
});
