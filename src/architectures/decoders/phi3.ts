// Phi 3 and 4 (Abdin et al. 2024): llama with fused projections, rotations that pair the halves of a head, and divisors
// of the frequencies for short and for long contexts (LongRoPE, Ding et al. 2024). The attention window that some files
// have is not applied: llama.cpp does not apply it either.
import { JsonView } from '../../base/json-view.js';
import { type DecoderArchitecture, vectorIn } from '../architecture.js';
import type { MetadataBuilder } from '../huggingface-mapping.js';
import { scaledFrequencies } from '../rope-scaling.js';
import {
  attend,
  embed,
  fusedQueriesKeysValues,
  gatedFeedForward,
  layersOf,
  logits,
  project,
  rmsNorm,
  rotated,
} from '../stages.js';
import { gateAndUp, matrix, vector } from '../weight-specs.js';
import { type DecoderConfig, decoderWeights, readDecoderConfig } from './decoder.js';
import { addDecoderMetadata, decoderTensorNames } from './decoder-mapping.js';

export const phi3: DecoderArchitecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'phi3',

  huggingFace: {
    modelTypes: ['phi3'],
    activations: ['silu'],
    addMetadata(config, metadata) {
      addDecoderMetadata(config, metadata);
      addPartialRotation(config, metadata);
    },
    tensorNames: {
      ...decoderTensorNames,
      layer: { ...decoderTensorNames.layer, 'self_attn.qkv_proj': 'attn_qkv', 'mlp.gate_up_proj': 'ffn_up' },
    },
  },

  readConfig: (metadata) => readDecoderConfig(metadata, { architecture: 'phi3', style: 'halfSplit' }),

  weights(config) {
    const { dim, ffn, heads, kvHeads, headDim, rope } = config;
    const layers = decoderWeights(config, (block) => [
      vector(`${block}.attn_norm.weight`, dim),
      matrix(`${block}.attn_qkv`, (heads + 2 * kvHeads) * headDim, dim),
      matrix(`${block}.attn_output`, dim, heads * headDim),
      vector(`${block}.ffn_norm.weight`, dim),
      { ...matrix(`${block}.ffn_up`, 2 * ffn, dim), parts: gateAndUp(block, ffn) },
      matrix(`${block}.ffn_down`, dim, ffn),
    ]);
    const divisors = (name: string) => vector(`rope_factors_${name}.weight`, rope.dim / 2, { optional: true });
    return [...layers, divisors('long'), divisors('short')];
  },

  constants({ rope }, weights, capacity) {
    const length = capacity > rope.originalContext ? 'long' : 'short';
    const divisors = vectorIn(weights, 'rope_freqs.weight') ?? vectorIn(weights, `rope_factors_${length}.weight`);
    return { rope: scaledFrequencies(rope, divisors?.toArray()) };
  },

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = fusedQueriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      project(at, 'attn_output', attend(at, rotated(at, heads)), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: (p, _config, weights, hidden) => logits(p, weights, hidden),
};

/** The rotated elements of a head, which a config gives as a share of its width. */
function addPartialRotation(config: JsonView, metadata: MetadataBuilder): void {
  const share = config.at('partial_rotary_factor');
  if (share.isAbsent) return;
  const headDim = config.at('hidden_size').number() / config.at('num_attention_heads').number();
  metadata.count('.rope.dimension_count', new JsonView(Math.floor(share.number() * headDim), share.place));
}
