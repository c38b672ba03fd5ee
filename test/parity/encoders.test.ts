// Random encoders of every architecture against llama.cpp on the same file: the pooled vectors.
import { expect, test } from 'vitest';
import { modelPaths, someIds } from '../support/models/model-files.js';
import { type RandomModel, text } from '../support/models/random-model.js';
import { normalisedError } from '../support/numbers.js';
import { sharedEngines } from '../support/running/engines.js';
import { sharedLlama } from './support.js';

const engines = sharedEngines();
const llama = sharedLlama();
const write = modelPaths();
const vocabulary = 300;

const all = () => true;
const jina = 'jina-bert-v2';
const encoders: [what: string, bound: number, model: RandomModel][] = [
  // llama.cpp reads GELU from a table in half precision, and approximates it by tanh; BERT and Jina were trained with
  // erf.
  ['bert', 1e-6, { architecture: 'bert', optional: all }],
  [jina, 1e-6, { architecture: jina, optional: (name) => /token_types|ffn_gate/.test(name) }],
  [
    `${jina} with gate and up in one matrix`,
    1e-6,
    { architecture: jina, otherShapes: all, optional: (name) => /token_types/.test(name) },
  ],
  ['nomic-bert', 1e-11, { architecture: 'nomic-bert', optional: (name) => !/bias|rope/.test(name) }],
];

test.each(encoders)('%s', async (_what, bound, shape) => {
  const path = await write({ ...shape, metadata: { 'general.name': text('random') } });
  const engine = await engines({ threads: 2 });
  using model = await engine.loadModel(path);
  const peer = await llama();
  await peer.load(path);
  await peer.context('parity', { positions: 512, threads: 1, embeddings: true });
  for (const length of [1, 40, 100]) {
    const ids = someIds(length, vocabulary);
    const [vector] = await model.embed([ids], { normalize: false });
    expect(normalisedError(vector as Float32Array, await peer.embed('parity', ids))).toBeLessThan(bound);
  }
});
