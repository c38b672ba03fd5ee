// Our side of the work `texts`: a GGUF file with the weights of the peers' graph, loaded and asked by `model.embed`.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { f32, flag, string, tokenizerMetadata, u32 } from '../../../../dist/bench/random-model/metadata-values.js';
import { type GgufTensorSource, writeGguf } from '../../../../dist/src/checkpoint/gguf/write-gguf.js';
import type { Engine } from '../../../../dist/src/index.js';
import { encoderLayers, type MatrixName, type NormName, type Projection, q8Blocks } from '../work/encoder-operands.js';
import {
  embeddingsOf,
  mostPositions,
  normEpsilon,
  textIds,
  textVocabulary,
  tokenTypes,
} from '../work/text-operands.js';
import type { TextsWork } from '../work/work.js';

const meanPooling = 1;

const matrixFiles: Readonly<Record<MatrixName, string>> = {
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  o: 'attn_output',
  up: 'ffn_up',
  down: 'ffn_down',
};
const normFiles: Readonly<Record<NormName, string>> = {
  attentionNorm: 'attn_output_norm',
  outputNorm: 'layer_output_norm',
};

/** Loads the model; its vectors are NaN until the first run. */
export async function textsModel(engine: Engine, work: TextsWork) {
  const folder = await mkdtemp(join(tmpdir(), 'tesserae-texts-'));
  const path = join(folder, 'encoder.gguf');
  await writeGguf(path, { metadata: metadataOf(work), tensors: tensorsOf(work) });
  const model = await engine.loadModel(path).finally(() => rm(folder, { recursive: true }));
  const texts = textIds(work);
  const out = new Float32Array(work.count * work.width).fill(Number.NaN);
  const run = async () => {
    const vectors = await model.embed(texts);
    for (const [index, vector] of vectors.entries()) out.set(vector, index * work.width);
  };
  return { model, run, out };
}

function metadataOf({ layers, width, heads, ffn }: TextsWork) {
  return [
    ['general.architecture', string('bert')],
    ['general.name', string('texts')],
    ['bert.context_length', u32(mostPositions)],
    ['bert.embedding_length', u32(width)],
    ['bert.block_count', u32(layers)],
    ['bert.feed_forward_length', u32(ffn)],
    ['bert.attention.head_count', u32(heads)],
    ['bert.attention.layer_norm_epsilon', f32(normEpsilon)],
    ['bert.attention.causal', flag(false)],
    ['bert.pooling_type', u32(meanPooling)],
    ['tokenizer.ggml.token_type_count', u32(tokenTypes)],
    ...tokenizerMetadata(textVocabulary),
  ] as const;
}

function tensorsOf(work: TextsWork): GgufTensorSource[] {
  const { width, isQuantized } = work;
  const plain = (name: string, shape: readonly number[], data: Float32Array) => ({ name, type: 'F32', shape, data });
  const matrix = (name: string, projection: Projection): GgufTensorSource => {
    const shape = [projection.outputs, projection.inputs];
    if (isQuantized) return { name, type: 'Q8_0', shape, data: q8Blocks(projection) };
    return plain(name, shape, transposed(projection));
  };
  const { tokens, positions, types, norm } = embeddingsOf(work);
  return [
    plain('token_embd.weight', [textVocabulary, width], tokens),
    plain('position_embd.weight', [mostPositions, width], positions),
    plain('token_types.weight', [tokenTypes, width], types),
    plain('token_embd_norm.weight', [width], norm.weight),
    plain('token_embd_norm.bias', [width], norm.bias),
    ...encoderLayers(work).flatMap(({ matrices, norms }, index) => [
      ...Object.entries(matrices).flatMap(([key, projection]) => {
        const name = `blk.${index}.${matrixFiles[key as MatrixName]}`;
        return [matrix(`${name}.weight`, projection), plain(`${name}.bias`, [projection.outputs], projection.bias)];
      }),
      ...Object.entries(norms).flatMap(([key, { weight, bias }]) => {
        const name = `blk.${index}.${normFiles[key as NormName]}`;
        return [plain(`${name}.weight`, [width], weight), plain(`${name}.bias`, [width], bias)];
      }),
    ]),
  ];
}

/** [outputs, inputs] */
function transposed({ inputs, outputs, weight }: Projection): Float32Array {
  const result = new Float32Array(weight.length);
  for (let i = 0; i < inputs; i++) {
    for (let o = 0; o < outputs; o++) result[o * inputs + i] = weight[i * outputs + o] as number;
  }
  return result;
}
