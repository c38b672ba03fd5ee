// What a peer implements, in a process of its own (peer-child.ts), to be measured.
import type { Work } from '../work/work.js';

/** Work whose operands, sessions and outputs are ready. */
export interface Prepared {
  /** How it is done where there is a choice: the node, the layout. */
  readonly how?: string;
  run(): unknown;
  /** What the last run computed, in our layout: f32, row-major. */
  result(): Float32Array | Promise<Float32Array>;
  release(): unknown;
}

export interface Peer {
  /** Name and version, and what matters of its set-up. */
  readonly about: string;
  /** Undefined for work that this peer does not do. */
  prepare(work: Work): Promise<Prepared | undefined>;
}

/** @throws when the peer is not installed or does not start */
export type OpenPeer = (threads: number) => Promise<Peer>;
