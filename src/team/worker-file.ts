// Where the built worker entry is, whether this file runs from dist/ or, under the tests, from the sources.
// (A worker thread cannot start from a .ts file on every Node version that we support.)
import { existsSync } from 'node:fs';

export function findWorkerFile(name = 'workers/shift.js'): string {
  for (const root of ['../../', '../../dist/']) {
    const url = new URL(root + name, import.meta.url);
    if (existsSync(url)) return url.href;
  }
  throw new Error(`the built file ${name} is missing: run the build`);
}
