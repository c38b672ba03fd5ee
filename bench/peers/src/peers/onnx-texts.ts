// onnxruntime at the work `texts`: texts sorted by length, in padded batches; of several batch sizes, and of both ways to
// write attention, the fastest. Looking up embeddings and normalising are not timed.
import ort from 'onnxruntime-node';
import { encodeModel } from '../onnx/onnx-model.js';
import { textsGraph } from '../onnx/onnx-texts.js';
import type { Prepared } from '../processes/peer.js';
import { embeddingsOf, embedTokens, normalizeAll, textIds } from '../work/text-operands.js';
import type { TextsWork } from '../work/work.js';

const batchSizes = [1, 2, 4, 8, 16, 32, 64];
/** One text of so many, spread over all lengths, decides which way is the fastest. */
const oneOfTexts = 8;

interface Batch {
  /** Of the texts, in the order of the batch. */
  readonly indices: readonly number[];
  readonly inputs: Readonly<Record<string, ort.Tensor>>;
}

type Text = readonly [index: number, ids: readonly number[]];

export async function prepareTexts(work: TextsWork, options: ort.InferenceSession.SessionOptions): Promise<Prepared> {
  const texts = [...textIds(work).entries()].sort(([, one], [, other]) => one.length - other.length);
  const sample = texts.filter((_, place) => place % oneOfTexts === 0);
  let fastest: { ms: number; isJoined: boolean; size: number } | undefined;
  for (const isJoined of [false, true]) {
    const session = await ort.InferenceSession.create(encodeModel(textsGraph(work, isJoined)), options);
    for (const size of batchSizes) {
      const batches = batchesOf(sample, size, work);
      const times: number[] = [];
      for (let round = 0; round < 3; round++) {
        const started = performance.now();
        for (const { inputs } of batches) await session.run(inputs);
        times.push(performance.now() - started);
      }
      const ms = Math.min(...times);
      if (fastest === undefined || ms < fastest.ms) fastest = { ms, isJoined, size };
    }
    await session.release();
  }
  const { isJoined, size } = fastest as NonNullable<typeof fastest>;
  const session = await ort.InferenceSession.create(encodeModel(textsGraph(work, isJoined)), options);
  const batches = batchesOf(texts, size, work);
  const vectors = new Float32Array(work.count * work.width);
  return {
    how: `${isJoined ? 'Attention' : 'MultiHeadAttention'}, sorted by length, texts in a batch: ${size}`,
    run: async () => {
      for (const { indices, inputs } of batches) {
        const { pooled } = await session.run(inputs);
        const data = pooled?.data as Float32Array;
        for (const [row, index] of indices.entries()) {
          vectors.set(data.subarray(row * work.width, (row + 1) * work.width), index * work.width);
        }
      }
    },
    result: () => {
      const result = vectors.slice();
      normalizeAll(result, work.width);
      return result;
    },
    release: () => session.release(),
  };
}

function batchesOf(texts: readonly Text[], size: number, work: TextsWork): Batch[] {
  const { width } = work;
  const embeddings = embeddingsOf(work);
  const batches: Batch[] = [];
  for (let from = 0; from < texts.length; from += size) {
    const own = texts.slice(from, from + size);
    const tokens = Math.max(...own.map(([, ids]) => ids.length));
    const x = new Float32Array(own.length * tokens * width);
    const shares = new Float32Array(own.length * tokens);
    for (const [row, [, ids]] of own.entries()) {
      embedTokens(ids, width, embeddings, x, row * tokens * width);
      shares.fill(1 / ids.length, row * tokens, row * tokens + ids.length);
    }
    batches.push({
      indices: own.map(([index]) => index),
      inputs: {
        x0: new ort.Tensor('float32', x, [own.length, tokens, width]),
        lengths: new ort.Tensor(
          'int32',
          Int32Array.from(own, ([, ids]) => ids.length),
          [own.length],
        ),
        shares: new ort.Tensor('float32', shares, [own.length, 1, tokens]),
      },
    });
  }
  return batches;
}
