// POST /tokenize and /detokenize: texts to ids and back, as vLLM has them.
import { runInTurns } from '../../base/text-turns.js';
import type { Tokenizer } from '../../index.js';
import { BodyFields, wrong } from '../../openai/index.js';
import { type HttpReply, largeJsonReply } from '../http.js';
import type { EndpointContext } from './context.js';

const tokensPerLook = 64;

/** `{ prompt, add_special_tokens }` to `{ count, max_model_len, tokens }`. */
export async function tokenize(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const { model } = context.models.of(body);
  const fields = new BodyFields(body);
  const prompt = fields.take('prompt');
  if (typeof prompt !== 'string') throw wrong('prompt', 'must be a text');
  const addsSpecial = fields.flag('add_special_tokens') ?? true;
  fields.end();
  const { signal } = context;
  const release = context.places.take(1, signal);
  try {
    const { addsBos, addsEos } = model.tokenizer;
    const ends = { addBos: addsSpecial && addsBos, addEos: addsSpecial && addsEos };
    const tokens = await model.tokenizer.encodeAsync(prompt, { ...ends, signal });
    const { sessionCapacity } = model.info;
    return await largeJsonReply({ count: tokens.length, max_model_len: sessionCapacity, tokens }, signal);
  } finally {
    release();
  }
}

/** `{ tokens }` to `{ prompt }`. */
export async function detokenize(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const { model } = context.models.of(body);
  const fields = new BodyFields(body);
  const tokens = fields.take('tokens');
  if (!Array.isArray(tokens) || !tokens.every((id) => Number.isSafeInteger(id))) {
    throw wrong('tokens', 'must be an array of ids');
  }
  fields.end();
  const { signal } = context;
  const release = context.places.take(1, signal);
  try {
    const prompt = await runInTurns(decoded(tokens, model.tokenizer.decoder()), signal);
    return await largeJsonReply({ prompt }, signal);
  } finally {
    release();
  }
}

function* decoded(tokens: readonly number[], decoder: ReturnType<Tokenizer['decoder']>): Generator<void, string> {
  const texts: string[] = [];
  for (const [i, id] of tokens.entries()) {
    texts.push(decoder.push(id));
    if (i % tokensPerLook === 0) yield;
  }
  texts.push(decoder.end());
  return texts.join('');
}
