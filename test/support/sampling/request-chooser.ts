// Chooses the tokens of a request from logits, as the workers do, by the oracle of their kernel. Used by the tests of requests.
import type { GenerationRequest } from '../../../src/generation/request.js';
import type { SamplingOptions } from '../../../src/sampling/sampling-options.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { LogprobReader } from './logprob-reader.js';
import { Sampler } from './sampler.js';

export class RequestChooser {
  readonly #request: GenerationRequest;
  readonly #tokenizer: Tokenizer;
  readonly #sampler: Sampler;
  /** Tokens of the request that the sampler has taken note of. */
  #seen = 0;

  constructor(request: GenerationRequest, options: SamplingOptions, vocabulary: number, tokenizer: Tokenizer) {
    this.#request = request;
    this.#tokenizer = tokenizer;
    const logitBias = new Map(request.sampling.settings.biases);
    this.#sampler = new Sampler({ ...options, logitBias }, vocabulary);
    for (const id of request.promptIds) this.#sampler.accept(id);
  }

  choose(logits: Float32Array): void {
    const request = this.#request;
    for (; this.#seen < request.tokens.length; this.#seen++) this.#sampler.accept(request.tokens[this.#seen] as number);
    const { allowed, logprobs } = request.rowOptions;
    const id = this.#sampler.sample(logits, { allowed });
    if (logprobs === undefined) {
      request.choose(id);
      return;
    }
    const { logprob, top } = new LogprobReader(this.#tokenizer, logprobs).read(logits, id);
    const ids = Int32Array.from(top, (token) => token.id);
    request.choose(id, { logprob, ids, logprobs: Float64Array.from(top, (token) => token.logprob) });
  }
}
