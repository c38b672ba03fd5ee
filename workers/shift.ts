// The Piscina entry: one call is one shift of a worker in its team. Knows nothing but the addon.
import { workerData } from 'node:worker_threads';
import { WorkResult } from '../src/native/addon.js';
import { loadAddon } from '../src/native/load.js';

const addon = loadAddon();
const { control, endingsOffsetBytes } = workerData as { control: Uint8Array; endingsOffsetBytes: number };
const endings = new Int32Array(control.buffer, control.byteOffset + endingsOffsetBytes, 1);

export default function shift(seat: number): void {
  for (;;) {
    const result = addon.work(control, seat);
    if (result === WorkResult.left) return;
    // The count itself was raised by the executor, before; this wakes the coordinator's Atomics.waitAsync.
    if (result === WorkResult.ended) Atomics.notify(endings, 0);
    if (result === WorkResult.abandoned) throw new Error('a tile was left unfinished');
  }
}
