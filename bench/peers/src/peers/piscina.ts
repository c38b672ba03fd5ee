// The peer Piscina: the round trip of empty tasks, with its defaults except for the number of threads.
import { version as nodeVersion } from 'node:process';
import { Piscina } from 'piscina';
import type { OpenPeer } from '../processes/peer.js';

export const open: OpenPeer = async (threads) => ({
  about: `Piscina ${Piscina.version}, ${threads} threads, Node ${nodeVersion}`,
  async prepare(work) {
    if (work.op !== 'roundtrip') return undefined;
    const pool = new Piscina({
      filename: new URL('piscina-task.js', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    const { tasks } = work;
    return {
      run: () =>
        tasks === 1 ? pool.run(0) : Promise.all(Array.from({ length: tasks }, (_, index) => pool.run(index))),
      result: () => new Float32Array(0),
      release: () => pool.destroy(),
    };
  },
});
