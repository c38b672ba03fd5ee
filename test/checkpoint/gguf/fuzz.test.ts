// A mutation fuzzer over whole GGUF models of every kind of tokenizer: header, metadata, tensor list, vocabulary, and
// the architecture's checks. test/support/damage/fuzz.ts says what must hold of a mutant. Seeded: failures can be
// repeated.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, test } from 'vitest';
import { expectOpenedOrRefused, fuzzTimeout } from '../../support/damage/fuzz.js';
import { damageBytes } from '../../support/damage/mutations.js';
import { modelPaths } from '../../support/models/model-files.js';
import type { RandomModel } from '../../support/models/random-model.js';
import { sharedEngines } from '../../support/running/engines.js';
import { temporaryFolder } from '../../support/temporary-folder.js';
import { count, type SmallToken, tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const engines = sharedEngines();
const write = modelPaths();
const folder = temporaryFolder();
afterAll(() => folder.remove());

const letters = [...'abcdefghijklmnopqrstuvwxyz', '▁', '▁the', 'th', 'he', '▁a', 'an', 'and', '漢', 'é'];
const bytes: SmallToken[] = Array.from({ length: 256 }, (_, byte) => ({
  text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  type: 6,
}));
const pieces: SmallToken[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
  ...letters.map((text, index) => ({ text, score: -index })),
  { text: '<user>', type: 4 },
];
const words: SmallToken[] = [
  ...['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((text) => ({ text, type: 3 })),
  ...letters.map((text) => ({ text })),
];

const tokenizer = (...given: Parameters<typeof tokenizerMetadata>) => Object.fromEntries(tokenizerMetadata(...given));
const small = { layers: 1, heads: 2, kvHeads: 2, dim: 64, ffn: 64, context: 32 };

const seeds: [what: string, mutants: number, model: RandomModel][] = [
  ['byte-level BPE', 70_000, { ...small, architecture: 'llama', dim: 16, ffn: 16, vocab: 280 }],
  [
    'SentencePiece',
    10_000,
    { ...small, architecture: 'gemma2', type: 'Q8_0', tokenizer: tokenizer('llama', [...pieces, ...bytes]) },
  ],
  [
    'unigram',
    10_000,
    {
      ...small,
      architecture: 'bert',
      tokenizer: tokenizer('t5', pieces, {
        'tokenizer.ggml.unknown_token_id': count(0),
        'tokenizer.ggml.precompiled_charsmap': {
          type: 'array',
          element: 'u8',
          value: Uint8Array.from([16, 0, 0, 0, ...Array.from({ length: 16 }, (_, i) => (i * 89) & 255), 65, 0]),
        },
      }),
    },
  ],
  [
    'WordPiece',
    10_000,
    {
      ...small,
      architecture: 'nomic-bert',
      tokenizer: tokenizer('bert', words, {
        'tokenizer.ggml.bos_token_id': count(2),
        'tokenizer.ggml.unknown_token_id': count(1),
        'tokenizer.ggml.seperator_token_id': count(3),
      }),
    },
  ],
];

test.each(seeds)('%s: %d damaged models open or are refused', { timeout: fuzzTimeout }, async (...seed) => {
  const [, mutants, model] = seed;
  const engine = await engines({ threads: 1 });
  const sound = await write(model);
  const whole = readFileSync(sound);
  const headerBytes = whole.indexOf('token_embd') + 512;
  const path = folder.file('mutant.gguf');
  await expectOpenedOrRefused({
    engine,
    mutants,
    sound,
    path,
    write: (pick) => {
      const mutant = damageBytes(whole, headerBytes, pick);
      writeFileSync(path, mutant);
      return mutant.length;
    },
  });
});
