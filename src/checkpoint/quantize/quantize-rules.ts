// Chooses the type of each tensor of a quantized file, by its name and shape. The rules are those of llama.cpp's
// `llama-quantize`, so that its files and ours have the same size and quality. Converts nothing. Called by quantize.ts.
import type { QuantizeTarget } from '../../ops/quantized/quantize-blocks.js';
import { tensorTypeCodes, tensorTypes } from '../gguf/tensor-types.js';

/** `q4_k` is llama.cpp's Q4_K_M: Q4_K, with more bits for the tensors that lose most by quantizing. */
export type QuantizeType = 'q8_0' | 'q4_0' | 'q4_k' | 'q6_k';

interface TypeRule {
  /** The type of all matrices that have no rule of their own. */
  readonly base: QuantizeTarget;
  /** The value of `general.file_type`: llama.h's llama_ftype. */
  readonly fileType: number;
}

export const quantizeTypes: Readonly<Record<QuantizeType, TypeRule>> = {
  q8_0: { base: 'Q8_0', fileType: 7 },
  q4_0: { base: 'Q4_0', fileType: 2 },
  q4_k: { base: 'Q4_K', fileType: 15 },
  q6_k: { base: 'Q6_K', fileType: 18 },
};

/** The value of `general.quantization_version`: 2 since block types have half-precision scales. */
export const QUANTIZATION_VERSION = 2;

/** Facts about the whole model that the rules depend on. */
export interface ModelFacts {
  readonly layers: number;
  /** Whether there is an output matrix; without one the embedding serves as it. */
  readonly hasOutput: boolean;
}

export interface TensorFacts {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
}

/** Tensors that keep their type: they are read row by row, or too small for quantizing to save much. */
const kept = /(^|\.)(position_embd|token_types|ffn_gate_inp|[a-z_]*norm)\.weight$/;

/** The type used instead where a row is not a whole number of blocks. */
const fallbacks: Readonly<Partial<Record<QuantizeTarget, QuantizeTarget>>> = {
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** The type for a tensor; `undefined` where it keeps its own: vectors, norms, tables of positions. */
export function quantizedTypeOf(
  tensor: TensorFacts,
  type: QuantizeType,
  model: ModelFacts,
): QuantizeTarget | undefined {
  const { name, shape } = tensor;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  if (rows < 2 || !name.endsWith('weight') || kept.test(name)) return undefined;
  return fitting(wantedType(name, type, model), shape.at(-1) ?? 0);
}

function wantedType(name: string, type: QuantizeType, model: ModelFacts): QuantizeTarget {
  const { base } = quantizeTypes[type];
  const isOutput = name === 'output.weight' || (name === 'token_embd.weight' && !model.hasOutput);
  if (isOutput) return type === 'q8_0' ? base : 'Q6_K';
  if (type !== 'q4_k') return base;
  const [, layer = '', part = ''] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
  if (part === 'attn_qkv') return 'Q5_K';
  const isSensitive = part === 'attn_v' || part === 'ffn_down';
  return isSensitive && takesMoreBits(Number(layer), model.layers) ? 'Q6_K' : base;
}

/** Whether a layer is in the first or last eighth, or every third between them. */
function takesMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

function fitting(type: QuantizeTarget, rowLength: number): QuantizeTarget {
  const fits = (candidate: QuantizeTarget) =>
    rowLength % (tensorTypes.get(tensorTypeCodes.get(candidate) as number)?.blockElements ?? 1) === 0;
  if (fits(type)) return type;
  const fallback = fallbacks[type];
  return fallback !== undefined && fits(fallback) ? fallback : 'F16';
}
