// All ops of the public API. Engine and ProgramBuilder have a method for each of them (calls/methods.ts).
import { attention } from './attention/attention.js';
import { multiHeadAttention } from './attention/multi-head-attention.js';
import { matmul } from './matmul/matmul.js';
import { copy } from './rowwise/copy.js';
import { crossEntropy } from './rowwise/cross-entropy.js';
import { add, exp, gelu, geluTanh, mul, relu, scale, sigmoid, silu, siluMul, tanh } from './rowwise/elementwise.js';
import { layerNorm, rmsNorm } from './rowwise/norm.js';
import { rope } from './rowwise/rope.js';
import { argmax, embedding, scatter } from './rowwise/rows-by-index.js';
import { softmax } from './rowwise/softmax.js';

export const ops = {
  /** c = activation(a · b + bias) + residual. a: f32 [..., m, k]; b: f32, f16 or bf16 [..., k, n]; batch dimensions broadcast. */
  matmul,
  /** Scaled dot-product attention. q: f32 [batch, heads, queries, dim]; k, v: [batch, kvHeads, keys, dim], f32 or f16. */
  attention,
  /** Attention with its projections. x: f32 [batch, tokens, dim] or [tokens, dim]. */
  multiHeadAttention,
  /** Softmax over the last dimension. */
  softmax,
  /** x / √(mean(x²) + eps) · weight over the last dimension (Zhang and Sennrich 2019). */
  rmsNorm,
  /** (x - mean) / √(variance + eps) · weight + bias over the last dimension (Ba et al. 2016). */
  layerNorm,
  /** Rotary position embedding. x: f32 [..., tokens, heads, dim]; positions: i32 [..., tokens]. */
  rope,
  /** silu(gate) · up, element by element, as in llama's feed-forward layer (Shazeer 2020). */
  siluMul,
  /** x · Φ(x), exact (Hendrycks and Gimpel 2016). */
  gelu,
  /** The tanh approximation of gelu. */
  geluTanh,
  /** x / (1 + exp(-x)). */
  silu,
  /** max(x, 0). */
  relu,
  /** 1 / (1 + exp(-x)). */
  sigmoid,
  /** Hyperbolic tangent. */
  tanh,
  /** e to the power of each element. */
  exp,
  /** a + b with broadcasting. */
  add,
  /** a · b, element by element, with broadcasting. */
  mul,
  /** x · factor. */
  scale,
  /** Rows of a table by index. table: f32, f16 or bf16 [rows, columns]; ids: i32 [...]; result f32 [..., columns]. */
  embedding,
  /** Writes rows of x [..., tokens, columns] to the rows `ids` [..., tokens] of `out` [..., rows, columns]. */
  scatter,
  /** Index of the first maximum of each row, i32; the first NaN counts as the maximum. */
  argmax,
  /** log Σ exp(logits) - logits[target] for each row. logits: f32 [..., classes]; targets: i32 [...]. */
  crossEntropy,
  /** A packed copy, or a copy to `out` in any layout; converts between f32 and f16 or bf16. */
  copy,
};

export type Ops = typeof ops;
