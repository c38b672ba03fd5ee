// OpenBLAS with the kernels that are fastest here. An old version does not know a new CPU, and takes kernels that make a quarter
// of its speed: a row beside that would be false. Called by open-peers.ts.
import type { Work } from '../work/work.js';
import { buildBlasProbe } from './blas-probe.js';
import { PeerProcess } from './peer-process.js';

/** Values of OPENBLAS_CORETYPE; undefined: what it detects. */
const coreTypes: readonly (string | undefined)[] = [undefined, 'SKYLAKEX', 'HASWELL', 'ZEN'];
const tried: Work = { op: 'matmul', m: 512, n: 512, k: 512, constantB: false };
const turn = { turnMs: 60, warmups: 2, restMs: 0 };

/** @throws Error with the reason when the library is absent */
export async function openFastestOpenBlas(
  name: string,
  threads: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<PeerProcess> {
  const command = { file: buildBlasProbe(), args: ['openblas', String(threads)] };
  let best: PeerProcess | undefined;
  let bestMs = Number.POSITIVE_INFINITY;
  let failure: unknown;
  for (const coreType of coreTypes) {
    let peer: PeerProcess | undefined;
    try {
      peer = await PeerProcess.open(name, { ...command, env: { ...env, OPENBLAS_CORETYPE: coreType } });
      const ms = await fastestMs(peer);
      if (ms < bestMs) [peer, best, bestMs] = [best, peer, ms];
    } catch (error) {
      // Kernels that this CPU cannot run end the process.
      failure ??= error;
    }
    await peer?.close();
  }
  if (best === undefined) throw failure;
  return best;
}

async function fastestMs(peer: PeerProcess): Promise<number> {
  await peer.prepare(tried);
  const ms = Math.min(...(await peer.turn(turn)), ...(await peer.turn(turn)));
  await peer.release();
  return ms;
}
