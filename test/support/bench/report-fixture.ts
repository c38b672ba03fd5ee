// A report with plausible figures that were not measured. Used by the tests of the HTML page and of `bench --report`.
import type { ReportData } from '../../../bench/reports/html/page-data.js';
import { parsePeers } from '../../../bench/reports/html/peers-document.js';
import type { ServingPoint, ServingRow } from '../../../bench/suites/serving/serving-report.js';
import type { ThroughputRow } from '../../../bench/suites/throughput.js';
import type { ProgramProfile, TileSpan } from '../../../src/index.js';

const origin = { isa: 'avx2', cpu: 'A <CPU> & more', commit: 'abc123' };
const roofline = [
  { workers: 1, isa: 'avx2', fmaGflops: 101.2, dotGmacs: 158.3, readGBs: 14.1 },
  { workers: 2, isa: 'avx2', fmaGflops: 202.4, dotGmacs: 316.1, readGBs: 23.7 },
];

interface Work {
  readonly op: ThroughputRow['op'];
  readonly name: string;
  readonly flops: number;
  readonly bytes: number;
  /** Share of the peak. */
  readonly share: number;
}

const squares: Work[] = [64, 128, 256, 512, 1024, 2048, 4096].map((size, index) => ({
  op: 'matmul',
  name: `square_${size}`,
  flops: 2 * size ** 3,
  bytes: 12 * size ** 2,
  share: [0.27, 0.55, 0.82, 0.9, 0.93, 0.94, 0.94][index] as number,
}));
const others: Work[] = [
  { op: 'matmul', name: 'gemv', flops: 6.7e7, bytes: 1.35e8, share: 0.055 },
  { op: 'matmul', name: 'small_batch', flops: 2.7e8, bytes: 6.7e7, share: 0.4 },
  { op: 'matmul', name: 'ffn_up', flops: 1.2e9, bytes: 1.3e7, share: 0.92 },
  { op: 'matmul', name: 'ffn_down', flops: 1.2e9, bytes: 1.3e7, share: 0.91 },
  { op: 'matmul', name: 'odd_1000', flops: 2e9, bytes: 1.2e7, share: 0.915 },
];
const attention: Work[] = [
  { op: 'attention', name: 'attention_128', flops: 5e7, bytes: 1.6e6, share: 0.55 },
  { op: 'attention', name: 'attention_512', flops: 8e8, bytes: 6.3e6, share: 0.74 },
  { op: 'attention', name: 'attention_1024', flops: 3.2e9, bytes: 1.26e7, share: 0.76 },
  { op: 'attention', name: 'attention_decode', flops: 5e7, bytes: 1e8, share: 0.056 },
];

function rowsFor(works: readonly Work[]): ThroughputRow[] {
  return works.flatMap(({ op, name, flops, bytes, share }) =>
    roofline.map(({ workers, fmaGflops, readGBs }) => {
      const gflops = share * fmaGflops;
      const medianMs = flops / gflops / 1e6;
      const speedup = workers === 1 ? 1 : 1.96;
      const readShare = bytes > flops ? bytes / medianMs / 1e6 / readGBs : null;
      const best = { bestMs: 0.9 * medianMs, samples: 40 };
      return {
        ...origin,
        ...best,
        op,
        name,
        shape: `shape of ${name}`,
        workers,
        medianMs,
        flops,
        bytes,
        gflops,
        peakShare: share,
        readShare,
        speedup,
      };
    }),
  );
}

function latencyRow(name: string, median: number, below?: number) {
  const limit = below === undefined ? null : ({ statistic: 'median', below } as const);
  const holds = below === undefined ? null : median < below;
  const figures = { median, p99: 2.2 * median, max: 9 * median, samples: 99 };
  return { ...origin, ...figures, name, what: `what ${name} is`, workers: 2, unit: 'µs' as const, limit, holds };
}

/** So many requests at once; llama.cpp beside the first ones alone. */
function servingPoint(concurrency: number, type = 'Q8_0'): ServingPoint {
  const tokensPerSecond = concurrency === 32 ? 1234 : 200 * concurrency ** 0.5;
  const spread = (p50: number) => ({ p50, p99: 2.1 * p50 });
  const peer = {
    ...{ tokensPerSecond: tokensPerSecond / 3, prefillMs: 9 * concurrency, betweenMs: spread(20 + concurrency) },
    ...{ attention: 'flash' as const, ratio: 3.02 },
  };
  return {
    ...origin,
    ...{ type, concurrency, workers: 2, promptTokens: 32, newTokens: 32, rounds: 3 },
    ...{ tokensPerSecond, oneByOne: 200, ratio: tokensPerSecond / 200 },
    ...{ firstMs: spread(7 * concurrency), betweenMs: spread(7 + concurrency) },
    peer: concurrency > 64 ? null : peer,
  };
}

function servingRow(name: string, value: number, least: number | undefined): ServingRow {
  const target = least === undefined ? null : ({ bound: 'at least', value: least } as const);
  const holds = least === undefined ? null : value >= least;
  const about = { name, what: `what ${name} is`, detail: 'this over that', workers: 2, unit: '×' as const, samples: 3 };
  return { ...origin, ...about, value, target, holds };
}

/** Two workers that take tiles of twelve steps in turn. */
function profile(): ProgramProfile {
  const kernels = ['rms_norm', 'pack_b', 'matmul', 'attention', 'binary', 'matmul'];
  const tiles: TileSpan[] = [];
  let time = 15_000;
  const steps = Array.from({ length: 12 }, (_, step) => {
    const kernel = kernels[step % kernels.length] as string;
    const count = kernel === 'matmul' ? 12 : 4;
    for (let tile = 0; tile < count; tile++) {
      const startNs = time + Math.floor(tile / 2) * 40_000;
      tiles.push({ step, tile, seat: tile % 2, startNs, endNs: startNs + 38_000 });
    }
    time += (count / 2) * 40_000;
    const wallNs = (count / 2) * 38_000;
    return {
      kernel,
      tiles: count,
      flops: 2e6 * count,
      after: 0,
      bytesRead: 1e6,
      bytesWritten: 2e5,
      threadNs: 2 * wallNs,
      wallNs,
      wallShare: 0,
    };
  });
  const wallNs = time + 10_000;
  return {
    threads: 2,
    runs: 5,
    wallNs,
    idleNs: wallNs - steps.reduce((sum, step) => sum + step.wallNs, 0),
    steps: steps.map((step) => ({ ...step, wallShare: step.wallNs / wallNs })),
    tiles,
  };
}

/** The members of a document of `pnpm bench:peers --json` that are read. */
export const peersDocument = {
  workers: 2,
  peers: [
    { name: 'openblas', present: true, about: '0.3.29, ZEN, 2 threads' },
    { name: 'blis', present: false, about: 'not installed' },
  ],
  rows: [
    ...squares.map(({ name, flops, share }) => {
      const figure = (who: string, gflops: number) => ({
        ...{ name: who, value: gflops, gflops, medianMs: flops / gflops / 1e6 },
        ratio: (share * 202.4) / gflops,
      });
      const peers = [figure('openblas', 0.75 * share * 202.4), figure('onnxruntime', 0.66 * share * 202.4)];
      return {
        name: name.replace('square_', 'matmul '),
        unit: 'GFLOPS',
        ours: figure('ours', share * 202.4),
        peers,
        target: 'over 0.9 P',
        met: true,
      };
    }),
    {
      name: 'dispatch warm, 2 tiles',
      unit: 'µs',
      ours: { name: 'ours', value: 13.1, medianMs: 0.0131, gflops: 0, ratio: 1 },
      peers: [{ name: 'piscina', value: 62, medianMs: 0.062, gflops: 0, ratio: 4.7 }],
      target: 'below 20 µs',
      met: false,
    },
  ],
};

export function reportFixture(): ReportData {
  return {
    report: {
      machine: {
        cpu: origin.cpu,
        cores: 2,
        memoryBytes: 2 ** 34,
        platform: 'linux-x64',
        node: 'v20.20.2',
        tesserae: '0.1.0',
        commit: origin.commit,
        kernelSets: ['ref', 'avx2'],
        caches: [{ name: 'L1d', level: 1, kind: 'data', sizeBytes: 32768, lineBytes: 64, sharedBy: 1 }],
      },
      isa: 'avx2',
      roofline,
      suites: [
        { suite: 'matmul', rows: rowsFor([...squares, ...others]) },
        { suite: 'attention', rows: rowsFor(attention) },
        { suite: 'scaling', rows: rowsFor([...squares.slice(3, 6), ...attention.slice(1, 3)]) },
        {
          suite: 'latency',
          rows: [
            latencyRow('dispatch_warm', 14.2, 20),
            latencyRow('dispatch_idle', 61, 80),
            latencyRow('dispatch_woken', 148),
            latencyRow('call_inline', 3.1),
            latencyRow('replay_200_inline', 0.18),
            latencyRow('replay_200_shared', 1.4),
          ],
        },
        {
          suite: 'serving',
          ...{
            model: '/models/some.gguf',
            parameters: 1.3e8,
            workers: 2,
            stepMs: 40,
            peer: { about: 'llama.cpp <1>' },
          },
          points: [...[1, 8, 32, 64, 256].map((count) => servingPoint(count)), servingPoint(32, 'F32')],
          rows: [servingRow('q8_0_32_at_once', 6.17, 6), servingRow('other', 1, undefined)],
        },
      ],
    },
    peers: parsePeers(peersDocument),
    timeline: { what: 'A program', profile: profile() },
  };
}
