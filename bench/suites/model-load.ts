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
  const loads = (['files', 'image'] as const).map((from) => ({
    from,
    times: [] as number[],
    weightBytes: 0,
    mappedBytes: 0,
  }));
  try {
    // The first round reads the files, and stores the image, and is not counted.
    for (let round = 0; round <= rounds; round++) {
      for (const load of loads) {
        context.progress(`loading from ${load.from}, round ${round} of ${rounds}`);
        const started = performance.now();
        using model = await engine.loadModel(path, { ...(load.from === 'image' && { cache }), signal });
        if (round > 0) load.times.push(performance.now() - started);
        ({ weightBytes: load.weightBytes, mappedBytes: load.mappedBytes } = model.info);
      }
    }
    return loads.map(({ times, ...load }) => ({
      ...load,
      model: path,
      workers: engine.threads,
      medianMs: median(times),
      samples: rounds,
      ...context.origin,
    }));
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}
