// The task of the threads of Piscina (workers/worker.cjs): the worker takes a seat of its team, keeps it until it dies, and
// serves a shift whenever it is called. Uses nothing but the addon. The protocol is in src/team/README.md.
import { threadId, workerData } from 'node:worker_threads';
import { SeatState, seatStateIndex, WorkResult } from '../src/native/addon.js';
import { loadAddon } from '../src/native/load.js';

const { control, addonPath, shared } = workerData as { control: Uint8Array; addonPath?: string; shared: unknown };
const addon = loadAddon({ addonPath, shared });
const words = new Int32Array(control.buffer, control.byteOffset, control.byteLength / Int32Array.BYTES_PER_ELEMENT);
const endings = addon.layout.endingsOffsetBytes / Int32Array.BYTES_PER_ELEMENT;

/** The worker's only task. It returns at once, because a pending task keeps the process alive; the worker serves on. */
export default function takeSeat(seat: number): number {
  addon.takeSeat(control, seat);
  setImmediate(serve, seat);
  return threadId;
}

function serve(seat: number): void {
  const state = seatStateIndex(addon.layout, seat);
  for (;;) {
    shift(seat);
    // Sleeps until the seat is called. In JavaScript, where the thread can be terminated and needs no wake-ups. The coordinator
    // also notifies workers that were not called.
    do Atomics.wait(words, state, SeatState.away);
    while (Atomics.load(words, state) === SeatState.away);
    callOthers(seat);
  }
}

/** Calls some of the workers that the coordinator has left to those that it has called. */
function callOthers(seat: number): void {
  for (let calls = 0; calls < addon.layout.callsEach; calls++) {
    const called = addon.callAnother(control, seat);
    if (called === -1) return;
    Atomics.notify(words, seatStateIndex(addon.layout, called));
  }
}

function shift(seat: number): void {
  for (;;) {
    const result = addon.work(control, seat);
    if (result === WorkResult.left) return;
    // The executor has incremented the count before; this wakes the coordinator's Atomics.waitAsync.
    if (result === WorkResult.ended) Atomics.notify(words, endings);
    if (result === WorkResult.abandoned) throw new Error('a tile was left unfinished');
  }
}
