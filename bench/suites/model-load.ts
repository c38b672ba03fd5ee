// How long the suite's model takes to load: from its files, and from the image of its weights that an earlier load has stored
// (the option `cache` of loadModel). The files are in the system's page cache, as they are after the first load.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundledModelPath } from '../../src/base/package-files.js';
import type { BenchContext, Origin } from '../measuring/context.js';
import { median } from '../measuring/statistics.js';
import type { ModelBenchOptions } from './model.js';

export interface LoadRow extends Origin {
  readonly from: 'files' | 'image';
  readonly model: string;
  readonly weightBytes: number;
  /** Of them, those that are mapped. */
  readonly mappedBytes: number;
  readonly workers: number;
  readonly medianMs: number;
  readonly samples: number;
}

export async function benchLoads(context: BenchContext, options: ModelBenchOptions = {}): Promise<LoadRow[]> {
  const { path = bundledModelPath() } = options;
  const { widest: engine, rounds, signal } = context;
  const cache = mkdtempSync(join(tmpdir(), 'tesserae-images-'));
  const ways = [{ from: 'files' as const }, { from: 'image' as const, cache }];
  const times = ways.map((): number[] => []);
  const rows: LoadRow[] = [];
  try {
    // The first round reads the files, and stores the image, and is not counted.
    for (let round = 0; round <= rounds; round++) {
      for (const [index, { from, ...way }] of ways.entries()) {
        context.progress(`loading from ${from}, round ${round} of ${rounds}`);
        const started = performance.now();
        using model = await engine.loadModel(path, { ...way, signal });
        if (round > 0) times[index]?.push(performance.now() - started);
        const { weightBytes, mappedBytes } = model.info;
        const about = { from, model: path, weightBytes, mappedBytes, workers: engine.threads, samples: rounds };
        rows[index] = { ...about, medianMs: round > 0 ? median(times[index] as number[]) : 0, ...context.origin };
      }
    }
    return rows;
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}
