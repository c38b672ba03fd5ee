// A worker entry for tests of what a team does when its workers die. As workers/shift.ts, but it dies in the way that
// the variable TESSERAE_TEST_DEATH names. Runs from dist/; started by test/team/worker-loss.test.ts.
import { workerData } from 'node:worker_threads';
import { WorkResult } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/load.js';

/** exit: when a tile is left unfinished. begin: at the beginning of each shift. load: throws while it is loaded. */
export type Death = 'exit' | 'begin' | 'load';

const death = process.env.TESSERAE_TEST_DEATH as Death | undefined;
const addon = loadAddon();
const { control, endingsOffsetBytes } = workerData as { control: Uint8Array; endingsOffsetBytes: number };
const endings = new Int32Array(control.buffer, control.byteOffset + endingsOffsetBytes, 1);

if (death === 'load') throw new Error('this worker cannot be loaded');

export default function shift(seat: number): void {
  if (death === 'begin') process.exit(3);
  for (;;) {
    const result = addon.work(control, seat);
    if (result === WorkResult.left) return;
    if (result === WorkResult.ended) Atomics.notify(endings, 0);
    if (result === WorkResult.abandoned) process.exit(3);
  }
}
