// llama.cpp under the load of the suite serving: as many sequences at once, as its own llama-batched-bench computes them, in
// a process that is stopped while it is not its turn. It gets our tokens, so that both compute the same.

import type { Model } from '../../../src/index.js';
import { prepareLlama } from '../../llama/install.js';
import { type LlamaLoad, LlamaProcess, type LlamaServed } from '../../llama/llama-process.js';
import { differenceOf } from '../../measuring/checks.js';
import type { BenchContext } from '../../measuring/context.js';
import { WrongResultError } from '../../measuring/wrong-result.js';
import { MissingPeerError } from '../../processes/missing-peer.js';

const flavours = ['plain', 'flash'] as const;
export type Attention = (typeof flavours)[number];

/** Whether llama.cpp is measured: where it is installed, or after it is installed where it is missing. */
export type PeerWanted = 'none' | 'where installed' | 'installed first';

/** What llama.cpp rounds, to 8 bits for quantized weights, makes its logits differ by so much. */
const tolerances: Readonly<Record<string, number>> = { F32: 1e-6, F16: 1e-4 };
const quantizedTolerance = 1e-2;
const comparedTokens = 8;

/** Steps that show which kind of attention is faster. */
const stepsToChoose = 4;
/** More sequences than this take too long to try both: they get the kind that was faster before. */
const mostToChoose = 32;

export class LlamaPeer {
  readonly #llama: LlamaProcess;
  readonly #threads: number;
  #chosen: Attention | undefined;

  private constructor(llama: LlamaProcess, threads: number) {
    this.#llama = llama;
    this.#threads = threads;
  }

  /** @returns the peer, or in one line why there is none */
  static async open(context: BenchContext, wanted: PeerWanted): Promise<LlamaPeer | string> {
    if (wanted === 'none') return 'llama.cpp was not asked for';
    try {
      const command = await prepareLlama((text) => context.progress(text), { install: wanted === 'installed first' });
      return new LlamaPeer(await LlamaProcess.open(command), context.widest.threads);
    } catch (error) {
      if (error instanceof MissingPeerError) return error.message;
      throw error;
    }
  }

  get about(): string {
    return this.#llama.about;
  }

  /** Loads the model's file. @throws WrongResultError where the logits of both differ by more than rounding */
  async load(model: Model, prompt: readonly number[], type: string): Promise<void> {
    const llama = this.#llama;
    const { path } = model.info;
    const compared = prompt.slice(0, comparedTokens);
    const expected = await llama.awake(async () => {
      await llama.load(path);
      await llama.context('check', { positions: comparedTokens + 1, threads: this.#threads });
      const logits = await llama.logits('check', compared);
      await llama.closeContext('check');
      return logits;
    });
    const difference = differenceOf(expected, await model.logits(compared));
    if (!(difference <= (tolerances[type] ?? quantizedTolerance))) {
      throw new WrongResultError(`${path} (difference ${difference})`);
    }
  }

  /** Makes a context for as many sequences, with the attention that is faster for them. The caller closes it. */
  async begin(load: LlamaLoad): Promise<Attention> {
    if (this.#chosen === undefined || load.prompts.length <= mostToChoose) return this.#choose(load);
    await this.#open(this.#chosen, load);
    return this.#chosen;
  }

  async #choose(load: LlamaLoad): Promise<Attention> {
    const some = { ...load, followers: load.followers.slice(0, stepsToChoose) };
    const times: number[] = [];
    for (const attention of flavours) {
      await this.#open(attention, load);
      const { stepMs } = await this.run(attention, some);
      times.push(Math.min(...stepMs));
    }
    const [chosen, other] = (times[0] as number) <= (times[1] as number) ? flavours : (['flash', 'plain'] as const);
    await this.end(other);
    this.#chosen = chosen;
    return chosen;
  }

  async #open(attention: Attention, { prompts, followers }: LlamaLoad): Promise<void> {
    const sequences = prompts.length;
    const positions = sequences * ((prompts[0]?.length ?? 0) + followers.length + 1);
    const options = { positions, sequences, threads: this.#threads, flash: attention === 'flash' };
    await this.#llama.awake(() => this.#llama.context(attention, { ...options, cacheType: 'f16' }));
  }

  run(attention: Attention, load: LlamaLoad): Promise<LlamaServed> {
    return this.#llama.awake(() => this.#llama.serve(attention, load));
  }

  async end(attention: Attention): Promise<void> {
    await this.#llama.awake(() => this.#llama.closeContext(attention));
  }

  async close(): Promise<void> {
    await this.#llama.close();
  }
}
