// Finds the built entry of a worker thread. Called by team/team.ts and background-worker.ts. This file runs from dist/ or, in the tests, from the sources; a worker thread cannot
// start from a .ts file on every Node.js version that we support.
import { existsSync } from 'node:fs';

/** The file's URL. @param name relative to dist/ */
export function findWorkerFile(name = 'workers/shift.js'): string {
  for (const root of ['../../', '../../dist/']) {
    const url = new URL(root + name, import.meta.url);
    if (existsSync(url)) return url.href;
  }
  throw new Error(`the built file ${name} is missing: run the build`);
}
