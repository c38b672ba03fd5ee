// The ONNX graphs of the work `encoder`: the layers of BERT in f32, with the nodes that exported models have after
// onnxruntime's optimiser, and with one node for each layer's attention and its projections. Runs nothing.
import {
  type EncoderLayer,
  encoderInput,
  encoderLayers,
  type MatrixName,
  type NormName,
} from '../work/encoder-operands.js';
import { sideBySide } from '../work/matrices.js';
import type { EncoderWork } from '../work/work.js';
import type { FixedGraph, Formulation, OnnxGraph, OnnxNode } from './onnx-model.js';

type Initializer = NonNullable<OnnxGraph['initializers']>[number];

const microsoft = 'com.microsoft';

export function encoder(work: EncoderWork): Formulation[] {
  return [
    { how: 'MatMul, Add, MultiHeadAttention, LayerNormalization, Gelu', isJoined: false },
    { how: 'the same, Attention with its projections in one node', isJoined: true },
  ].map(({ how, isJoined }) => ({
    how,
    graph: graphOf(work, isJoined),
    feeds: { x0: encoderInput(work) },
    toOurs: (y) => y,
  }));
}

function graphOf(work: EncoderWork, isJoined: boolean): FixedGraph {
  const { batch, tokens, width } = work;
  const dims = [batch, tokens, width];
  const layers = encoderLayers(work).map((layer, index) => layerOf(layer, index, { ...work, isJoined }));
  return {
    nodes: layers.flatMap(({ nodes }) => nodes),
    inputs: [{ name: 'x0', dims }],
    initializers: layers.flatMap(({ initializers }) => initializers),
    outputs: [{ name: 'y', dims }],
  };
}

export interface LayerOptions {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Attention and the projections before it are one node. */
  readonly isJoined: boolean;
  /** An input, i32 [batch]: the keys of each sequence, where they differ. */
  readonly lengths?: string;
}

/** The nodes of a layer, from `x<index>` to the input of the next layer, or to `y`. */
export function layerOf(
  { matrices, norms }: EncoderLayer,
  index: number,
  { layers, width, heads, isJoined, lengths = '' }: LayerOptions,
): { nodes: OnnxNode[]; initializers: Initializer[] } {
  const nodes: OnnxNode[] = [];
  const initializers: Initializer[] = [];
  const at = (name: string) => `${name}${index}`;
  const node = (op: string, inputs: readonly string[], to: string, more: Partial<OnnxNode> = {}): string => {
    nodes.push({ op, inputs, outputs: [to], ...more });
    return to;
  };
  const constant = (name: string, dims: readonly number[], data: Float32Array): string => {
    initializers.push({ name: at(name), dims, data });
    return at(name);
  };
  const project = (name: MatrixName, from: string): string => {
    const { inputs, outputs, weight, bias } = matrices[name];
    const product = node('MatMul', [from, constant(`w_${name}_`, [inputs, outputs], weight)], at(`product_${name}_`));
    return node('Add', [product, constant(`b_${name}_`, [outputs], bias)], at(`${name}_`));
  };
  const norm = (name: NormName, from: string, to: string): string => {
    const { weight, bias } = norms[name];
    const inputs = [from, constant(`w_${name}_`, [width], weight), constant(`b_${name}_`, [width], bias)];
    return node('LayerNormalization', inputs, to);
  };
  const attention = { domain: microsoft, attributes: { num_heads: { int: heads } } };
  const x = at('x');
  const joinedInputs = () => {
    const three = [matrices.q, matrices.k, matrices.v];
    const weights = three.map(({ weight }) => weight);
    const biases = three.map(({ bias }) => bias);
    return [
      x,
      constant('w_qkv_', [width, 3 * width], sideBySide(weights, width)),
      constant('b_qkv_', [3 * width], sideBySide(biases, width)),
      ...(lengths === '' ? [] : [lengths]),
    ];
  };
  const separateInputs = () => {
    const projected = [project('q', x), project('k', x), project('v', x)];
    return lengths === '' ? projected : [...projected, '', lengths];
  };
  const joined = isJoined
    ? node('Attention', joinedInputs(), at('joined'), attention)
    : node('MultiHeadAttention', separateInputs(), at('joined'), attention);
  const first = node('Add', [project('o', joined), x], at('sum'));
  const attended = norm('attentionNorm', first, at('attended'));
  const gelu = node('Gelu', [project('up', attended)], at('gelu'));
  const second = node('Add', [project('down', gelu), attended], at('added'));
  norm('outputNorm', second, index === layers - 1 ? 'y' : `x${index + 1}`);
  return { nodes, initializers };
}
