// Folders that ask for it have the spaces in front of punctuation removed when tokens are decoded.
import { expect, test } from 'vitest';
import { TimeSlice } from '../../../src/base/time-slice.js';
import { ModelMetadata } from '../../../src/metadata/model-metadata.js';
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.js';
import { tokenizerMetadata } from '../../../src/tokenizer/huggingface/huggingface.js';
import { bertTokenizer } from '../../support/models/huggingface-folder.js';

async function open(config: object, decoder?: object) {
  const { model, ...rest } = bertTokenizer();
  const vocab = { ...model.vocab, '.': Object.keys(model.vocab).length };
  const json = { ...rest, model: { ...model, vocab }, ...(decoder === undefined ? {} : { decoder }) };
  const values = await tokenizerMetadata(Buffer.from(JSON.stringify(json)), config, new TimeSlice());
  return createTokenizer(new ModelMetadata(values, 'test'));
}

test('as tokenizer_config.json says, or else as the decoder of WordPiece does', async () => {
  const cases = [
    [{ clean_up_tokenization_spaces: true }, undefined, true],
    [{ clean_up_tokenization_spaces: false }, undefined, false],
    [{}, { type: 'WordPiece', prefix: '##', cleanup: true }, true],
    [{}, { type: 'WordPiece', prefix: '##', cleanup: false }, false],
  ] as const;
  for (const [config, decoder, isCleaned] of cases) {
    const tokenizer = await open(config, decoder);
    const ids = tokenizer.encode('the . the');
    const spaced = tokenizer.decode(ids, { cleanUp: false });
    expect(spaced).toContain(' .');
    expect(tokenizer.decode(ids)).toBe(isCleaned ? spaced.replace(' .', '.') : spaced);
    expect(tokenizer.decode(ids, { continues: true })).toContain(' .');
    const stream = tokenizer.decoder();
    expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe(tokenizer.decode(ids));
  }
});
