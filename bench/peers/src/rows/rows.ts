// The rows of the comparison: name, work and target of each. Measures nothing.
import type { RoundTripWork, Work } from '../work/work.js';

/** Every member that is given must hold. */
export interface Target {
  /** Share of the FMA peak. */
  readonly ofPeak?: number;
  /** Share of what a large square product reaches of the FMA peak in this run, or share of the read bandwidth. */
  readonly ofSquareOrRead?: number;
  /** How many times faster than the named peer, or than the best one. */
  readonly faster?: { readonly than: string; readonly times: number };
  readonly belowUs?: number;
  /** Keeps the share of its speed that a fair scheduler leaves beside a busy neighbour. */
  readonly keepsFairShare?: boolean;
}

export interface Row {
  readonly name: string;
  readonly kind: 'peers' | 'scaling' | 'neighbour';
  readonly work: Work;
  readonly unit: 'GFLOPS' | 'µs' | 'µs/op' | 'of free speed';
  readonly target?: Target;
  /** Rest before each timed call. */
  readonly restMs?: number;
  readonly asProgram?: boolean;
  /** Allowed normalised mean squared difference of results that differ by more than rounding in f32. */
  readonly tolerance?: number;
  readonly inQuick?: boolean;
}

/** Whether the row is a square of 512 or more, with whose share of the peak odd and thin products are compared. */
export function isLargeSquare({ kind, work }: Row): boolean {
  return kind === 'peers' && work.op === 'matmul' && work.m === work.n && work.n === work.k && work.m % 512 === 0;
}

const best = (times: number) => ({ faster: { than: 'best', times } });
const thanOnnx = (times: number) => ({ faster: { than: 'onnxruntime', times } });

function matmul(
  m: number,
  n: number,
  k: number,
  target: Target,
  more: Partial<Row> & { constantB?: boolean } = {},
): Row {
  const { constantB = false, ...rest } = more;
  const shape = m === n && n === k ? String(m) : `${m}×${k}·${k}×${n}`;
  const work = { op: 'matmul', m, n, k, constantB } as const;
  return { name: `matmul ${shape}`, kind: 'peers', work, unit: 'GFLOPS', target, ...rest };
}

function attention(batch: number, tokens: number, causal: boolean, target?: Target, more: Partial<Row> = {}): Row {
  return {
    name: `attention ${causal ? 'causal' : 'full'} ${batch > 1 ? `${batch}×` : ''}${tokens}`,
    kind: 'peers',
    work: { op: 'attention', batch, heads: 12, tokens, dim: 64, causal },
    unit: 'GFLOPS',
    ...(target === undefined ? {} : { target }),
    ...more,
  };
}

/** Ours computes with weights and activations in 8 bits, the peers in f32. */
const quantizedTolerance = 1e-3;
const thin: Target = { ofSquareOrRead: 0.9 };
const inQuick = { inQuick: true };
const encoder: Work = { op: 'encoder', batch: 32, tokens: 128, layers: 6, width: 384, heads: 12, ffn: 1536 };
const layer: Work = { op: 'layer', batch: 8, tokens: 128, width: 768, heads: 12 };

const products: readonly Row[] = [
  matmul(64, 64, 64, { ofPeak: 0.25 }, inQuick),
  matmul(128, 128, 128, { ofPeak: 0.5 }),
  matmul(256, 256, 256, { ofPeak: 0.8 }, inQuick),
  matmul(512, 512, 512, { ofPeak: 0.9, ...best(1.05) }, inQuick),
  matmul(1024, 1024, 1024, { ofPeak: 0.93, ...best(1.05) }, inQuick),
  matmul(2048, 2048, 2048, { ofPeak: 0.93, ...best(1.05) }),
  matmul(4096, 4096, 4096, { ofPeak: 0.93, ...best(1.05) }),
  matmul(1000, 1000, 1000, thin),
  matmul(511, 511, 511, thin, inQuick),
  matmul(17, 4096, 4096, thin),
  matmul(4096, 17, 4096, thin),
  matmul(1, 4096, 4096, thin, inQuick),
  matmul(8, 4096, 4096, thin),
  matmul(128, 3072, 768, { ofPeak: 0.92 }, { name: 'packed 128×768·768×3072', constantB: true, ...inQuick }),
];

const attentions: readonly Row[] = [
  attention(1, 128, false, thanOnnx(2.5), inQuick),
  attention(8, 128, false, thanOnnx(1.6)),
  attention(1, 512, false, { ofPeak: 0.75, ...thanOnnx(1.2) }, inQuick),
  attention(1, 1024, false, { ofPeak: 0.75, ...thanOnnx(1.1) }),
  attention(1, 2048, false, { ofPeak: 0.75, ...thanOnnx(1.1) }),
  attention(1, 128, true),
  attention(8, 128, true),
  attention(1, 512, true, thanOnnx(2.3), inQuick),
  attention(1, 1024, true, thanOnnx(2.3)),
  attention(1, 2048, true, thanOnnx(2.3)),
];

const layerRow: Row = {
  name: 'attention layer 8×128×768',
  kind: 'peers',
  work: layer,
  unit: 'GFLOPS',
  target: thanOnnx(1.25),
  ...inQuick,
};

const layers: readonly Row[] = [
  layerRow,
  { ...layerRow, name: 'the same, packed program', asProgram: true, inQuick: false },
  {
    name: 'BERT encoder 32×128, Q8_0',
    kind: 'peers',
    work: encoder,
    unit: 'GFLOPS',
    target: thanOnnx(2),
    tolerance: quantizedTolerance,
  },
];

const texts: Work = {
  op: 'texts',
  count: 1000,
  fewest: 8,
  most: 256,
  layers: 6,
  width: 384,
  heads: 12,
  ffn: 1536,
  isQuantized: false,
};
const textsRow: Row = {
  name: 'embed 1,000 texts, BERT F32',
  kind: 'peers',
  work: texts,
  unit: 'GFLOPS',
  target: thanOnnx(1.5),
};

const textRows: readonly Row[] = [
  textsRow,
  {
    ...textsRow,
    name: 'embed 1,000 texts, BERT Q8_0',
    work: { ...texts, isQuantized: true },
    target: thanOnnx(3),
    tolerance: quantizedTolerance,
  },
];

/** Awaited ops, small enough for the calling thread. */
const tinyOps: readonly Row[] = [
  {
    name: 'tiny op: negate 64',
    kind: 'peers',
    work: { op: 'negate', size: 64, ops: 1 },
    unit: 'µs',
    target: { belowUs: 8 },
    ...inQuick,
  },
  matmul(16, 16, 16, { belowUs: 8 }, { name: 'tiny op: matmul 16', unit: 'µs' }),
];

const tinyProgram: Row = {
  name: 'program of 200 tiny ops',
  kind: 'peers',
  work: { op: 'negate', size: 16, ops: 200 },
  unit: 'µs/op',
  target: { belowUs: 2 },
  ...inQuick,
};

/** Long enough for the shift of every worker to end. */
const parkedMs = 30;

/** Ops without work, for one worker and for all. */
function dispatches(workers: number): Row[] {
  const dispatch = (state: string, tasks: number, by: RoundTripWork['by'], more: Partial<Row>): Row => ({
    name: `dispatch ${state}, ${tasks === 1 ? '1 tile' : `${tasks} tiles`}`,
    kind: 'peers',
    work: { op: 'roundtrip', tasks, by },
    unit: 'µs',
    ...(tasks === workers ? inQuick : {}),
    ...more,
  });
  return [...new Set([1, workers])].flatMap((tasks) => [
    dispatch('warm', tasks, 'workers', { target: { belowUs: 20 } }),
    dispatch('parked', tasks, 'team', { target: { belowUs: 80 }, restMs: parkedMs }),
    dispatch('parked, to workers', tasks, 'workers', { restMs: parkedMs }),
  ]);
}

function besideNeighbour(row: Row): Row {
  const name = `busy neighbour, ${row.name}`;
  return { ...row, name, kind: 'neighbour', unit: 'of free speed', target: { keepsFairShare: true } };
}

/** Ours with `workers` workers over ours with one; `times` is the target for two. */
function scaling(workers: number, row: Row, times: number): Row {
  const target = { faster: { than: '1 worker', times: (times / 2) * workers } };
  return { ...row, name: `1 → ${workers} workers, ${row.name}`, kind: 'scaling', target };
}

/** The rows for an engine of so many workers. */
export function rowsFor(workers: number): readonly Row[] {
  const all = [
    ...products,
    ...attentions,
    ...layers,
    ...textRows,
    ...tinyOps,
    ...dispatches(workers),
    tinyProgram,
    besideNeighbour(matmul(1024, 1024, 1024, {}, inQuick)),
    besideNeighbour(attention(1, 1024, false)),
  ];
  if (workers === 1) return all;
  return [
    ...all,
    scaling(workers, matmul(512, 512, 512, {}, inQuick), 1.95),
    scaling(workers, matmul(1024, 1024, 1024, {}), 1.95),
    scaling(workers, matmul(2048, 2048, 2048, {}), 1.95),
    scaling(workers, attention(1, 512, false), 1.9),
  ];
}

export function describeTarget({ ofPeak, ofSquareOrRead, faster, belowUs, keepsFairShare }: Target): string {
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return [
    ofPeak === undefined ? '' : `${percent(ofPeak)} P`,
    ofSquareOrRead === undefined ? '' : `${percent(ofSquareOrRead)} of square or B`,
    faster === undefined ? '' : `${faster.times}× ${faster.than}`,
    belowUs === undefined ? '' : `< ${belowUs} µs`,
    keepsFairShare ? 'fair share' : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}
