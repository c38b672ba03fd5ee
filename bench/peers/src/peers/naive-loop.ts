// The peer "naive loop": a product without any library, as three loops over typed arrays in the order that reads rows.
import type { OpenPeer } from '../processes/peer.js';
import { seeds, uniform } from '../work/work.js';

/** A larger product would take a large part of a second. */
const mostFlops = 3e8;

export const open: OpenPeer = async () => ({
  about: `loops over Float32Array, Node ${process.version}`,
  async prepare(work) {
    if (work.op !== 'matmul' || 2 * work.m * work.n * work.k > mostFlops) return undefined;
    const { m, n, k } = work;
    const a = uniform(m * k, seeds.a);
    const b = uniform(k * n, seeds.b);
    const c = new Float32Array(m * n);
    return { run: () => multiply(a, b, c, { m, n, k }), result: () => c, release: () => {} };
  },
});

function multiply(
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  { m, n, k }: { readonly m: number; readonly n: number; readonly k: number },
): void {
  c.fill(0);
  for (let row = 0; row < m; row++) {
    for (let depth = 0; depth < k; depth++) {
      const factor = a[row * k + depth] as number;
      const from = depth * n;
      const to = row * n;
      for (let column = 0; column < n; column++) {
        c[to + column] = (c[to + column] as number) + factor * (b[from + column] as number);
      }
    }
  }
}
