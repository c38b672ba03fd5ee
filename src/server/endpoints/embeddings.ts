// POST /v1/embeddings: the vectors of texts.
import { embeddingItem, readEmbeddingRequest } from '../../openai/index.js';
import { turnLimits } from '../answers/start-answers.js';
import { type HttpReply, largeJsonReply } from '../http.js';
import type { EndpointContext } from './context.js';

export async function embeddings(body: unknown, context: EndpointContext): Promise<HttpReply> {
  const { id, model } = context.models.of(body);
  const { job, encoding } = readEmbeddingRequest(body);
  const { signal } = context;
  const release = context.places.take(1, signal);
  try {
    const { tokenizer } = model;
    const ends = { addBos: tokenizer.addsBos, addEos: tokenizer.addsEos };
    let tokens = 0;
    const texts: ArrayLike<number>[] = [];
    for (const text of job.texts) {
      const ids = typeof text === 'string' ? await tokenizer.encodeAsync(text, { ...ends, signal }) : text;
      tokens += ids.length;
      texts.push(ids);
    }
    const vectors = await model.embed(texts, { ...job.options, ...turnLimits({}, context), signal });
    const data = vectors.map((vector, index) => embeddingItem(vector, index, encoding));
    const usage = { prompt_tokens: tokens, total_tokens: tokens };
    return await largeJsonReply({ object: 'list', data, model: id, usage }, signal);
  } finally {
    release();
  }
}
