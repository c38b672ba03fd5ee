// The list of peers, and how the process of each is started. A missing peer is reported as absent and is no failure.
import { fileURLToPath } from 'node:url';
import type { LineCommand } from '../../../../dist/bench/processes/line-process.js';
import { buildBlasProbe } from './blas-probe.js';
import { openFastestOpenBlas } from './fastest-openblas.js';
import { PeerProcess } from './peer-process.js';

export interface PeerStatus {
  readonly name: string;
  readonly present: boolean;
  /** Version and set-up, or why it is absent. */
  readonly about: string;
}

const child = fileURLToPath(new URL('peer-child.js', import.meta.url));
type Open = (name: string, threads: number, env: Record<string, string | undefined>) => Promise<PeerProcess>;

const allPeers: readonly (readonly [name: string, open: Open])[] = [
  ...['onnxruntime', 'onnx Attention', 'tfjs-wasm', 'naive loop', 'piscina'].map(
    (name) => [name, opens((threads) => ({ file: process.execPath, args: [child, name, String(threads)] }))] as const,
  ),
  ['OpenBLAS', openFastestOpenBlas],
  ['BLIS', opens((threads) => ({ file: buildBlasProbe(), args: ['blis', String(threads)] }))],
];

function opens(command: (threads: number) => Omit<LineCommand, 'env'>): Open {
  return (name, threads, env) => PeerProcess.open(name, { ...command(threads), env });
}

/** Opens the peers of the given names, or all. Their processes are left stopped. */
export async function openPeers(
  threads: number,
  names: readonly string[] | undefined,
  onProgress: (text: string) => void,
): Promise<{ readonly peers: readonly PeerProcess[]; readonly statuses: readonly PeerStatus[] }> {
  const peers: PeerProcess[] = [];
  const statuses: PeerStatus[] = [];
  for (const [name, open] of allPeers) {
    if (names !== undefined && !names.includes(name)) continue;
    onProgress(`opening ${name}`);
    try {
      const peer = await open(name, threads, plainEnvironment());
      peers.push(peer);
      statuses.push({ name, present: true, about: peer.about });
    } catch (error) {
      statuses.push({ name, present: false, about: error instanceof Error ? error.message : String(error) });
    }
  }
  return { peers, statuses };
}

/** The environment without variables that limit a BLAS or a thread pool: each peer gets its threads explicitly. */
function plainEnvironment(): Record<string, string | undefined> {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([key]) => !/^(OPENBLAS|BLIS|OMP|GOTO|KMP|MKL)_/.test(key)));
}
