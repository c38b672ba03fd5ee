// The peer @tensorflow/tfjs-backend-wasm: SIMD, one thread. Its threads need a browser: 4.22 starts them from blob:
// URLs, which Node's Worker refuses. Operands and results stay in its memory while it is timed.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import wasm from '@tensorflow/tfjs-backend-wasm';
import tf from '@tensorflow/tfjs-core';
import type { OpenPeer, Prepared } from '../processes/peer.js';
import { seeds, uniform, type Work } from '../work/work.js';

/** Larger work would take seconds on its one thread. */
const mostFlops = 2.5e9;

export const open: OpenPeer = async () => {
  const folder = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
  wasm.setWasmPaths(`${folder}/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly backend does not start');
  await tf.ready();
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  return {
    about: `tfjs-backend-wasm ${wasm.version_wasm}${simd ? ', SIMD' : ''}, 1 thread`,
    prepare: async (work) => prepare(work),
  };
};

function prepare(work: Work): Prepared | undefined {
  switch (work.op) {
    case 'matmul': {
      const { m, n, k } = work;
      if (2 * m * n * k > mostFlops) return undefined;
      const a = tf.tensor2d(uniform(m * k, seeds.a), [m, k]);
      const b = tf.tensor2d(uniform(k * n, seeds.b), [k, n]);
      return keepLast([a, b], () => tf.matMul(a, b));
    }
    case 'attention': {
      const { batch, heads, tokens, dim, causal } = work;
      if (causal || 4 * batch * heads * tokens * tokens * dim > mostFlops) return undefined;
      const [q, k, v] = [seeds.q, seeds.k, seeds.v].map((seed) =>
        tf.tensor4d(uniform(batch * heads * tokens * dim, seed), [batch, heads, tokens, dim]),
      ) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
      const scale = tf.scalar(1 / Math.sqrt(dim));
      return keepLast([q, k, v, scale], () => {
        const scores = tf.mul(tf.matMul(q, k, false, true), scale);
        return tf.matMul(tf.softmax(scores), v);
      });
    }
    default:
      return undefined;
  }
}

/** A prepared call that keeps its last result, and frees the one before. */
function keepLast(operands: readonly tf.Tensor[], compute: () => tf.Tensor): Prepared {
  let last: tf.Tensor | undefined;
  return {
    run: () => {
      last?.dispose();
      last = tf.tidy(compute);
    },
    result: async () => (await last?.data()) as Float32Array,
    release: () => {
      last?.dispose();
      for (const operand of operands) operand.dispose();
    },
  };
}
