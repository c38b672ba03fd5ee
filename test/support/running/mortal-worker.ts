// A worker entry for tests of dying workers: like workers/shift.ts, but it dies as the variable TESSERAE_TEST_DEATH says.
// Runs from dist/; started by test/team/worker-loss.test.ts.
import { threadId, workerData } from 'node:worker_threads';
import { SeatState, seatStateIndex, WorkResult } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/load.js';

/**
 * exit: exits when a tile is abandoned. begin: exits at the start of each shift. called: exits when it is called to a shift.
 * calling: exits when it has called another worker and not notified it. load: throws while it is loaded.
 */
export type Death = 'exit' | 'begin' | 'called' | 'calling' | 'load';

const death = process.env.TESSERAE_TEST_DEATH as Death | undefined;
const { control, shared } = workerData as { control: Uint8Array; shared: unknown };
const addon = loadAddon({ shared });
const words = new Int32Array(control.buffer, control.byteOffset, control.byteLength / Int32Array.BYTES_PER_ELEMENT);
const endings = addon.layout.endingsOffsetBytes / Int32Array.BYTES_PER_ELEMENT;

if (death === 'load') throw new Error('this worker cannot be loaded');

export default function takeSeat(seat: number): number {
  addon.takeSeat(control, seat);
  setImmediate(serve, seat);
  return threadId;
}

function serve(seat: number): void {
  for (;;) {
    if (death === 'begin') process.exit(3);
    shift(seat);
    do Atomics.wait(words, seatStateIndex(addon.layout, seat), SeatState.away);
    while (Atomics.load(words, seatStateIndex(addon.layout, seat)) === SeatState.away);
    if (death === 'called') process.exit(3);
    callOthers(seat);
  }
}

function callOthers(seat: number): void {
  for (let calls = 0; calls < addon.layout.callsEach; calls++) {
    const called = addon.callAnother(control, seat);
    if (called === -1) return;
    if (death === 'calling') process.exit(3);
    Atomics.notify(words, seatStateIndex(addon.layout, called));
  }
}

function shift(seat: number): void {
  for (;;) {
    const result = addon.work(control, seat);
    if (result === WorkResult.left) return;
    if (result === WorkResult.ended) Atomics.notify(words, endings);
    if (result === WorkResult.abandoned) process.exit(3);
  }
}
