// A tokenizer.json without a single token is refused: looking for its unknown token must end.
import { expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { tokenizerMetadata } from '../../../src/tokenizer/huggingface/huggingface.js';
import { bertTokenizer } from '../../support/models/huggingface-folder.js';

test('no token is found in it, and it is refused', async () => {
  const { model, ...rest } = bertTokenizer();
  const json = { ...rest, added_tokens: [], model: { ...model, vocab: {}, unk_token: '[UNK]' } };
  const reading = tokenizerMetadata(Buffer.from(JSON.stringify(json)), {}, new TimeSlice());
  await expect(reading).rejects.toMatchObject({ code: 'ERR_MODEL_FILE' });
});
