// The suite serving: many requests on one model at once. Throughput and latency against their number, beside the same requests
// one after the other and beside llama.cpp; then what is asked of prompts, prefixes, separate calls and the event loop.
// Every result is compared with that of the same request in other company.
import type { Model } from '../../../src/index.js';
import { servingOptionsOf } from '../../../src/serving/serving-options.js';
import type { BenchContext } from '../../measuring/context.js';
import { bertSizes, encoderFile } from '../../random-model/encoder-file.js';
import { modelFile, modelFileOf } from '../../random-model/model-file.js';
import { type ModelShapeName, type ModelTypeName, modelShapes, modelTypes } from '../../random-model/model-shapes.js';
import { separateEmbeddings, separateGenerations } from './calls.js';
import { figuresOf, limitOf, measurePoint } from './curve.js';
import { decodingAlone, mainThread } from './decoding.js';
import { LlamaPeer, type PeerWanted } from './llama-load.js';
import { mixedCalls } from './mixed-calls.js';
import { mixedPrompts, sharedPrefix } from './prompts.js';
import { rowOf, type ServingFigure, type ServingPoint, type ServingReport, type ServingRow } from './serving-report.js';
import { fullSizes, quickSizes, Requests, type ServingSizes } from './workload.js';

export interface ServingBenchOptions {
  /** Where files with random weights are written, unless they are there. */
  readonly folder: string;
  /** A GGUF file of a decoder in place of random weights: what is asked is asked of those alone. */
  readonly path?: string | undefined;
  readonly shape?: ModelShapeName | undefined;
  readonly type?: ModelTypeName | undefined;
  /** Requests at once. */
  readonly concurrency?: readonly number[] | undefined;
  /** A first look, in under a minute. */
  readonly quick?: boolean | undefined;
  readonly peer: PeerWanted;
  /** In place of those of `quick` and of the whole suite. */
  readonly sizes?: Partial<ServingSizes> | undefined;
}

/** Each figure is the median of so many rounds, unless the command is given another number. */
export const servingRounds = ({ quick = false }: Pick<ServingBenchOptions, 'quick'>): number => (quick ? 2 : 3);

/** What is asked is asked of this shape, with these weights. */
const askedShape = '135m';
const askedType = 'q8_0';

/** Of models that are loaded without a choice. */
const { stepMs } = servingOptionsOf({}, 'bench');

export async function benchServing(context: BenchContext, options: ServingBenchOptions): Promise<ServingReport> {
  await using suite = await ServingSuite.open(context, options);
  return await suite.run();
}

class ServingSuite implements AsyncDisposable {
  readonly #context: BenchContext;
  readonly #options: ServingBenchOptions;
  readonly #sizes: ServingSizes;
  readonly #peer: LlamaPeer | string;
  readonly #points: ServingPoint[] = [];
  readonly #rows: ServingRow[] = [];

  private constructor(context: BenchContext, options: ServingBenchOptions, peer: LlamaPeer | string) {
    const { concurrency } = options;
    this.#context = context;
    this.#options = options;
    this.#peer = peer;
    this.#sizes = {
      ...(options.quick === true ? quickSizes : fullSizes),
      ...(concurrency && { concurrency }),
      ...options.sizes,
    };
  }

  static async open(context: BenchContext, options: ServingBenchOptions): Promise<ServingSuite> {
    return new ServingSuite(context, options, await LlamaPeer.open(context, options.peer));
  }

  async run(): Promise<ServingReport> {
    const { shape = askedShape, type = askedType, path, folder } = this.#options;
    const { signal } = this.#context;
    const sizes = this.#sizes;
    const peer = this.#peer;
    const isAsked = path === undefined && shape === askedShape && type === askedType;
    const file = path ?? (await modelFile(folder, shape, type, signal));
    const info = await this.#use(file, {}, async (model) => {
      await this.#decode(model, path === undefined ? modelTypes[type] : mainType(model), isAsked);
      return model.info;
    });
    if (path === undefined && type !== 'f32' && sizes.concurrencyF32.length > 0) {
      await this.#use(await modelFile(folder, shape, 'f32', signal), {}, (model) =>
        this.#curve(model, this.#requests(model), 'F32', sizes.concurrencyF32, shape === askedShape),
      );
    }
    await this.#use(path ?? (await this.#wideFile(shape, type)), {}, async (model) => {
      const isWhole = isAsked && sizes.mixedCalls.calls >= fullSizes.mixedCalls.calls;
      this.#add(...(await mixedCalls(this.#context, model, sizes.mixedCalls, { isAsked: isWhole })));
    });
    await this.#use(await encoderFile(folder, bertSizes, type, signal), undefined, async (model) => {
      this.#add(await separateEmbeddings(this.#context, model, sizes.embedCalls, { isAsked }));
    });
    return {
      model: info.path,
      parameters: info.parameters,
      workers: this.#context.widest.threads,
      stepMs,
      peer: typeof peer === 'string' ? { missing: peer } : { about: peer.about },
      points: this.#points,
      rows: this.#rows,
    };
  }

  /** All that is measured with the model itself. */
  async #decode(model: Model, type: string, isAsked: boolean): Promise<void> {
    const context = this.#context;
    const sizes = this.#sizes;
    const requests = this.#requests(model);
    await this.#curve(model, requests, type, sizes.concurrency, isAsked);
    this.#add(await decodingAlone(context, model, sizes.decoding, { isAsked }));
    this.#add(...(await mixedPrompts(context, model, sizes, { stepMs, isAsked })));
    await this.#use(model.info.path, { prefixCache: true }, async (cached) => {
      this.#add(await sharedPrefix(context, { cached, plain: model }, sizes.prefix, { isAsked }));
    });
    this.#add(await separateGenerations(context, model, requests, sizes, { isAsked }));
    for (const sequences of sizes.mainThread) this.#add(await mainThread(context, model, sequences, { isAsked }));
  }

  /** @param isAsked whether the model's shape is the one of which something is asked */
  async #curve(
    model: Model,
    requests: Requests,
    type: string,
    concurrency: readonly number[],
    isAsked: boolean,
  ): Promise<void> {
    const peer = typeof this.#peer === 'string' ? undefined : this.#peer;
    await peer?.load(model, requests.prompt(0), type);
    for (const count of concurrency) {
      const parts = { context: this.#context, model, type, requests, peer, sizes: this.#sizes };
      const point = await measurePoint(parts, count);
      this.#points.push(point);
      const isBounded = isAsked && type === modelTypes[askedType];
      const limit = isBounded ? limitOf(point, model.info, this.#context.roofline(point.workers).dotGmacs) : undefined;
      this.#add(...figuresOf(point, isAsked, limit));
    }
  }

  /** Prompts for the most requests at once, and for those one after the other behind them. */
  #requests(model: Model): Requests {
    const { concurrency, concurrencyF32, oneByOne, promptTokens, separateCalls } = this.#sizes;
    const count = Math.max(...concurrency, ...concurrencyF32, separateCalls) + oneByOne;
    return new Requests('requests at once', model.info.vocabulary, count, promptTokens);
  }

  /** The same shape with the large vocabulary. */
  #wideFile(shape: ModelShapeName, type: ModelTypeName): Promise<string> {
    const { vocabulary } = this.#sizes.mixedCalls;
    const sizes = { ...modelShapes[shape], vocabulary };
    return modelFileOf(this.#options.folder, { name: `${shape}-${vocabulary}`, sizes, type }, this.#context.signal);
  }

  /** Loads a model, warmed up, for as long as `work` takes. @param serving of a decoder; without a prefix cache by default */
  async #use<T>(
    path: string,
    serving: { readonly prefixCache?: boolean } | undefined,
    work: (model: Model) => Promise<T>,
  ): Promise<T> {
    const { signal, widest } = this.#context;
    this.#context.progress('serving, loading a model');
    using model = await widest.loadModel(path, {
      signal,
      ...(serving && { serving: { prefixCache: false, ...serving } }),
    });
    await model.warmup();
    return await work(model);
  }

  #add(...figures: ServingFigure[]): void {
    const { origin, widest } = this.#context;
    this.#rows.push(...figures.map((figure) => rowOf(figure, { ...origin, workers: widest.threads })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (typeof this.#peer !== 'string') await this.#peer.close();
  }
}

/** The type of most tensors of a file. Norms and biases are F32 in every one. */
function mainType({ info }: Model): string {
  const types = Object.entries(info.tensorTypes).filter(([name]) => name !== 'F32');
  return types.sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'F32';
}
