// The ONNX graphs of each kind of work, all of them where onnxruntime has several ways to do it: the peer chooses the
// one that is fastest on this machine. Runs nothing.
import { sideBySide } from '../work/matrices.js';
import {
  type AttentionWork,
  type LayerWork,
  type MatmulWork,
  type NegateWork,
  projection,
  seeds,
  swapHeadsAndTokens,
  uniform,
  type Work,
} from '../work/work.js';
import { encoder } from './onnx-encoder.js';
import type { FixedGraph, Formulation, OnnxNode } from './onnx-model.js';

const asItIs = (y: Float32Array) => y;
const microsoft = 'com.microsoft';

export function formulationsOf(work: Work): readonly Formulation[] {
  switch (work.op) {
    case 'matmul':
      return [matmul(work)];
    case 'attention':
      return attention(work);
    case 'layer':
      return layer(work);
    case 'encoder':
      return encoder(work);
    case 'negate':
      return [negate(work)];
    case 'texts':
    case 'roundtrip':
      return [];
  }
}

function matmul({ m, n, k, constantB }: MatmulWork): Formulation {
  const a = { name: 'a', dims: [m, k] };
  const b = { name: 'b', dims: [k, n] };
  const bData = uniform(k * n, seeds.b);
  return {
    how: constantB ? 'MatMul, b constant' : 'MatMul',
    graph: {
      nodes: [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['y'] }],
      inputs: constantB ? [a] : [a, b],
      initializers: constantB ? [{ ...b, data: bData }] : [],
      outputs: [{ name: 'y', dims: [m, n] }],
    },
    feeds: { a: uniform(m * k, seeds.a), ...(constantB ? {} : { b: bData }) },
    toOurs: asItIs,
  };
}

/** The mask's value for keys that a token may not see; onnxruntime adds it to the scores. */
const hidden = -1e30;

function attention(work: AttentionWork): Formulation[] {
  const { batch, heads, tokens, dim, causal } = work;
  const [q, k, v] = [seeds.q, seeds.k, seeds.v].map((seed) => uniform(batch * heads * tokens * dim, seed)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const byToken = (values: Float32Array) => swapHeadsAndTokens(values, work);
  const toOurs = (y: Float32Array) => swapHeadsAndTokens(y, { batch, heads: tokens, tokens: heads, dim });
  const joinedFeeds = { q: byToken(q), k: byToken(k), v: byToken(v) };
  const how = causal ? 'MultiHeadAttention, unidirectional' : 'MultiHeadAttention';
  const masked = {
    how: 'MultiHeadAttention, mask',
    graph: multiHeadAttention(work, { by: 'mask' }),
    feeds: { ...joinedFeeds, mask: causalMask(tokens) },
    toOurs,
  };
  return [
    { how, graph: multiHeadAttention(work), feeds: joinedFeeds, toOurs },
    {
      how: `${how}, k and v by heads`,
      graph: multiHeadAttention(work, { isSplit: true }),
      feeds: { q: byToken(q), k, v },
      toOurs,
    },
    ...(causal ? [masked] : []),
    {
      how: causal ? 'Attention, is_causal' : 'Attention',
      isStandard: true,
      graph: standardAttention(work),
      feeds: { q, k, v },
      toOurs: asItIs,
    },
  ];
}

/**
 * com.microsoft's node over q [batch, tokens, width]; k and v like q, or split into heads; causal by attribute or mask.
 */
function multiHeadAttention(
  { batch, heads, tokens, dim, causal }: AttentionWork,
  { isSplit = false, by = 'attribute' }: { readonly isSplit?: boolean; readonly by?: 'attribute' | 'mask' } = {},
): FixedGraph {
  const joined = [batch, tokens, heads * dim];
  const kvDims = isSplit ? [batch, heads, tokens, dim] : joined;
  const unidirectional = causal && by === 'attribute' ? { unidirectional: { int: 1 } } : {};
  const node: OnnxNode = {
    op: 'MultiHeadAttention',
    domain: microsoft,
    inputs: ['q', 'k', 'v', ...(by === 'mask' ? ['', '', 'mask'] : [])],
    outputs: ['y'],
    attributes: { num_heads: { int: heads }, ...unidirectional },
  };
  return {
    nodes: [node],
    inputs: [
      { name: 'q', dims: joined },
      { name: 'k', dims: kvDims },
      { name: 'v', dims: kvDims },
      ...(by === 'mask' ? [{ name: 'mask', dims: [1, 1, tokens, tokens] }] : []),
    ],
    outputs: [{ name: 'y', dims: joined }],
  };
}

/** The Attention node of ai.onnx 23, over [batch, heads, tokens, dim]. */
function standardAttention({ batch, heads, tokens, dim, causal }: AttentionWork): FixedGraph {
  const dims = [batch, heads, tokens, dim];
  const attributes: OnnxNode['attributes'] = causal ? { is_causal: { int: 1 } } : {};
  return {
    nodes: [{ op: 'Attention', inputs: ['q', 'k', 'v'], outputs: ['y'], attributes }],
    inputs: ['q', 'k', 'v'].map((name) => ({ name, dims })),
    outputs: [{ name: 'y', dims }],
  };
}

/** [1, 1, tokens, tokens], added to the scores. */
function causalMask(tokens: number): Float32Array {
  return Float32Array.from({ length: tokens * tokens }, (_, i) => (i % tokens > i / tokens ? hidden : 0));
}

/** The weights are constants, which onnxruntime packs when it creates the session. */
function layer({ batch, tokens, width, heads }: LayerWork): Formulation[] {
  const dims = [batch, tokens, width];
  const names = ['q', 'k', 'v', 'o'] as const;
  const weights = names.map((name) => projection(width, seeds[`w${name}`]));
  const biases = names.map((name) => uniform(width, seeds[`b${name}`]));
  const constants = names.flatMap((name, index) => [
    { name: `w${name}`, dims: [width, width], data: weights[index] as Float32Array },
    { name: `b${name}`, dims: [width], data: biases[index] as Float32Array },
  ]);
  const outer = { inputs: [{ name: 'x', dims }], outputs: [{ name: 'y', dims }] };
  const project = (name: string, from: string, to: string): OnnxNode[] => [
    { op: 'MatMul', inputs: [from, `w${name}`], outputs: [`${name}0`] },
    { op: 'Add', inputs: [`${name}0`, `b${name}`], outputs: [to] },
  ];
  const attributes = { num_heads: { int: heads } };
  const feeds = { x: uniform(batch * tokens * width, seeds.x) };
  return [
    {
      how: 'MatMul, Add, MultiHeadAttention',
      graph: {
        ...outer,
        nodes: [
          ...['q', 'k', 'v'].flatMap((name) => project(name, 'x', name)),
          { op: 'MultiHeadAttention', domain: microsoft, inputs: ['q', 'k', 'v'], outputs: ['joined'], attributes },
          ...project('o', 'joined', 'y'),
        ],
        initializers: constants,
      },
      feeds,
      toOurs: asItIs,
    },
    {
      how: 'Attention with its projections in one node, MatMul, Add',
      graph: {
        ...outer,
        nodes: [
          { op: 'Attention', domain: microsoft, inputs: ['x', 'w', 'b'], outputs: ['joined'], attributes },
          ...project('o', 'joined', 'y'),
        ],
        initializers: [
          ...constants.slice(-2),
          { name: 'w', dims: [width, 3 * width], data: sideBySide(weights.slice(0, 3), width) },
          { name: 'b', dims: [3 * width], data: sideBySide(biases.slice(0, 3), width) },
        ],
      },
      feeds,
      toOurs: asItIs,
    },
  ];
}

/** A product with -1 and not Neg, pairs of which onnxruntime might cancel. */
function negate({ size, ops }: NegateWork): Formulation {
  const dims = [size];
  const at = (index: number) => (index === 0 ? 'x' : index === ops ? 'y' : `y${index}`);
  return {
    how: `${ops} Mul`,
    graph: {
      nodes: Array.from({ length: ops }, (_, i) => ({ op: 'Mul', inputs: [at(i), 'factor'], outputs: [at(i + 1)] })),
      inputs: [{ name: 'x', dims }],
      initializers: [{ name: 'factor', dims: [1], data: Float32Array.of(-1) }],
      outputs: [{ name: 'y', dims }],
    },
    feeds: { x: uniform(size, seeds.x) },
    toOurs: asItIs,
  };
}
