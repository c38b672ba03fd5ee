// The logits after each token of a text, copied for the caller. Used by Model.
import { TesseraeError } from '../base/errors.js';
import type { Sequence } from '../forward/sequence.js';

/** f32 [ids, vocabulary], computed on an empty sequence. @throws TesseraeError ERR_BUDGET; AbortError */
export async function logitsOf(
  sequence: Sequence,
  ids: readonly number[],
  vocabulary: number,
  { signal }: { readonly signal?: AbortSignal | undefined },
): Promise<Float32Array> {
  const logits = newFloats(ids.length * vocabulary, 'logits');
  let at = 0;
  const visit = (rows: Float32Array) => {
    logits.set(rows, at);
    at += rows.length;
  };
  await sequence.forward({ ids, output: 'allLogits', signal, visit });
  return logits;
}

/** @throws TesseraeError ERR_BUDGET when JavaScript cannot hold so many */
function newFloats(count: number, op: string): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new TesseraeError('ERR_BUDGET', `the system refused an array of ${count} floats`, { op, cause });
  }
}
