// SmolLM 3 (Bakouch et al. 2025): llama, except that every fourth layer has no rotary positions (NoPE, Yang et al.
// 2025).
import type { JsonView } from '../../base/json-view.js';
import type { DecoderArchitecture } from '../architecture.js';
import { attend, embed, gatedFeedForward, layersOf, project, queriesKeysValues, rmsNorm, rotated } from '../stages.js';
import type { DecoderConfig } from './decoder.js';
import { decoderTensorNames, refuseWindows } from './decoder-mapping.js';
import { addLlamaMetadata, llama, readLlamaConfig } from './llama.js';

/** The last layer of every so many has no positions. */
const periodWithoutPositions = 4;

function isRotated(layer: number): boolean {
  return (layer + 1) % periodWithoutPositions !== 0;
}

export const smollm3: DecoderArchitecture<DecoderConfig> = {
  kind: 'decoder',
  name: 'smollm3',

  huggingFace: {
    modelTypes: ['smollm3'],
    activations: ['silu'],
    addMetadata(config, metadata) {
      addLlamaMetadata(config, metadata);
      checkLayersWithoutPositions(config);
      refuseWindows(config);
    },
    tensorNames: decoderTensorNames,
  },

  readConfig: (metadata) => readLlamaConfig(metadata, 'smollm3'),
  weights: llama.weights,
  constants: llama.constants,

  *recordHidden(p, config, weights, inputs) {
    const pass = { p, config, weights, inputs, prefix: '' };
    const x = embed(pass);
    for (const at of layersOf(pass)) {
      const heads = queriesKeysValues(at, rmsNorm(at, 'attn_norm', x));
      const placed = isRotated(at.index) ? rotated(at, heads) : heads;
      project(at, 'attn_output', attend(at, placed), { residual: x, out: x });
      gatedFeedForward(at, rmsNorm(at, 'ffn_norm', x), { activation: 'silu', residual: x, out: x });
      yield;
    }
    return rmsNorm(pass, 'output_norm', x);
  },

  recordLogits: llama.recordLogits,
};

/** A config may list which layers are rotated: they must be those that are rotated here. */
function checkLayersWithoutPositions(config: JsonView): void {
  const flags = config.at('no_rope_layers');
  flags.list().forEach((flag, layer) => {
    if (flag.number() !== Number(isRotated(layer))) throw flags.unsupported(`${flag.number()} at ${layer}`);
  });
  const interval = config.at('no_rope_layer_interval');
  if (!interval.isAbsent && interval.number() !== periodWithoutPositions)
    throw interval.unsupported('another interval');
}
