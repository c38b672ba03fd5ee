// The table of the conformance suite: for each op of src/ops/registry.ts its cases.

import type { OpCase } from './op-case.js';
import { attentionCases, multiHeadAttentionCases } from './op-cases-attention.js';
import { argmaxCases, copyCases, crossEntropyCases, embeddingCases, scatterCases } from './op-cases-index.js';
import { matmulCases } from './op-cases-matmul.js';
import { rowOpCases } from './op-cases-rows.js';

export const opCases: Readonly<Record<string, readonly OpCase[]>> = {
  matmul: matmulCases,
  attention: attentionCases,
  multiHeadAttention: multiHeadAttentionCases,
  ...rowOpCases,
  embedding: embeddingCases,
  scatter: scatterCases,
  argmax: argmaxCases,
  crossEntropy: crossEntropyCases,
  copy: copyCases,
};
