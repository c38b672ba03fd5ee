// The Piscina entry: a worker takes a seat of its team, for good, and serves a shift whenever it is called. Knows nothing
// but the addon.
import { threadId, workerData } from 'node:worker_threads';
import { SeatState, seatStateIndex, WorkResult } from '../src/native/addon.js';
import { loadAddon } from '../src/native/load.js';

const addon = loadAddon();
const { control } = workerData as { control: Uint8Array };
const words = new Int32Array(control.buffer, control.byteOffset, control.byteLength / Int32Array.BYTES_PER_ELEMENT);
const endings = addon.layout.endingsOffsetBytes / Int32Array.BYTES_PER_ELEMENT;

/** The task: over at once, since a task that is not over keeps the process alive. The worker stays on its seat. */
export default function takeSeat(seat: number): number {
  addon.takeSeat(control, seat);
  setImmediate(serve, seat);
  return threadId;
}

function serve(seat: number): void {
  const state = seatStateIndex(addon.layout, seat);
  for (;;) {
    shift(seat);
    // Until it is called again. Not in native code: a thread that sleeps here can be terminated, and costs nothing.
    Atomics.wait(words, state, SeatState.away);
  }
}

function shift(seat: number): void {
  for (;;) {
    const result = addon.work(control, seat);
    if (result === WorkResult.left) return;
    // The count itself was raised by the executor, before; this wakes the coordinator's Atomics.waitAsync.
    if (result === WorkResult.ended) Atomics.notify(words, endings);
    if (result === WorkResult.abandoned) throw new Error('a tile was left unfinished');
  }
}
