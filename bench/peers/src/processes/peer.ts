// The interface that a peer implements. It runs in a process of its own (peer-child.ts).
import type { Work } from '../work/work.js';

/** Work whose operands, sessions and outputs are ready. */
export interface Prepared {
  /** How the peer does it, if it has a choice: the node, the layout. */
  readonly how?: string;
  run(): unknown;
  /** The result of the last run in our layout: f32, row-major. */
  result(): Float32Array | Promise<Float32Array>;
  release(): unknown;
}

export interface Peer {
  /** Name and version, and what matters of its set-up. */
  readonly about: string;
  /** Undefined for work that this peer cannot do. */
  prepare(work: Work): Promise<Prepared | undefined>;
}

/** @throws Error when the peer is not installed or does not start */
export type OpenPeer = (threads: number) => Promise<Peer>;
