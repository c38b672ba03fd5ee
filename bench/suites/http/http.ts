// The suite http: requests a second and latencies of the server, for 1 to 128 clients, beside the same requests to the model
// itself, in turns. The clients are a process of their own, which is stopped while it is not its turn.
import { fileURLToPath } from 'node:url';
import { bundledModelPath } from '../../../src/base/package-files.js';
import type { Model } from '../../../src/index.js';
import { createServer } from '../../../src/server/index.js';
import type { BenchContext, Origin } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { median, quantile } from '../../measuring/statistics.js';
import { WrongResultError } from '../../measuring/wrong-result.js';
import { LineProcess } from '../../processes/line-process.js';

export interface HttpBenchOptions {
  /** A GGUF file; the bundled model by default. */
  readonly path?: string | undefined;
  /** How many clients at once. */
  readonly clients?: readonly number[] | undefined;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

/** One way to ask. */
export interface AskedWay {
  readonly requestsPerSecond: number;
  /** From the request to the first piece of its text, and to its end. */
  readonly firstMs: Latency;
  readonly wholeMs: Latency;
}

export interface HttpRow extends Origin {
  readonly model: string;
  readonly workers: number;
  readonly clients: number;
  /** Of each round. */
  readonly requests: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly rounds: number;
  readonly http: AskedWay;
  /** The model itself, called as often at once. */
  readonly direct: AskedWay;
  /** Median over the rounds of the rate over HTTP over the direct one. */
  readonly ratio: number;
}

/** What the clients send: one line of JSON. */
export interface ClientLoad {
  readonly clients: number;
  readonly requests: number;
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
}

/** Times of all requests, and the texts of the first ones, one for each prompt. */
export interface Measured {
  readonly ms: number;
  readonly firstMs: readonly number[];
  readonly wholeMs: readonly number[];
  readonly texts: readonly string[];
}

export const httpRounds = 3;
const defaultClients = [1, 2, 4, 8, 16, 32, 64, 128];
const promptTokens = 32;
const newTokens = 32;
const fewestRequests = 32;
const promptCount = 128;

/** @throws WrongResultError where the texts of the two ways differ */
export async function benchHttp(context: BenchContext, options: HttpBenchOptions = {}): Promise<HttpRow[]> {
  const { path = bundledModelPath(), clients = defaultClients } = options;
  const { widest: engine, signal } = context;
  context.progress('http, loading the model');
  // What was computed before must not make a later turn faster.
  const model = await engine.loadModel(path, { signal, serving: { prefixCache: false } });
  const server = await createServer({ engine, models: { model } });
  try {
    await model.warmup();
    const url = await server.listen({ port: 0 });
    const program = fileURLToPath(new URL('clients.js', import.meta.url));
    const process_ = new LineProcess({ file: process.execPath, args: [program, url] });
    try {
      const rows: HttpRow[] = [];
      for (const count of clients) rows.push(await measure(context, model, process_, count));
      return rows;
    } finally {
      await process_.close();
    }
  } finally {
    await server.close({ graceMs: 0 });
    model.dispose();
  }
}

async function measure(context: BenchContext, model: Model, process_: LineProcess, clients: number): Promise<HttpRow> {
  const { vocabulary, path } = model.info;
  const requests = Math.max(fewestRequests, 2 * clients);
  const prompts = Array.from({ length: promptCount }, (_, index) => integersBelow(vocabulary, promptTokens, index + 1));
  const load: ClientLoad = { clients, requests, prompts, newTokens };
  const rounds: { readonly http: Measured; readonly direct: Measured }[] = [];
  const overHttp = async (): Promise<Measured> => {
    const [answer] = await process_.awake(() => process_.ask(JSON.stringify(load)));
    return JSON.parse(Buffer.from(answer as string, 'base64').toString('utf8')) as Measured;
  };
  // The first round is not counted.
  for (let round = 0; round <= context.rounds; round++) {
    context.signal?.throwIfAborted();
    context.progress(`http, ${clients} clients, round ${round} of ${context.rounds}`);
    const isFirst = round % 2 === 0;
    const before = isFirst ? await overHttp() : undefined;
    const direct = await askDirectly(model, load, context.signal);
    const http = before ?? (await overHttp());
    if (http.texts.join('\n') !== direct.texts.join('\n')) throw new WrongResultError('http');
    if (round > 0) rounds.push({ http, direct });
  }
  return {
    model: path,
    workers: context.widest.threads,
    clients,
    requests,
    promptTokens,
    newTokens,
    rounds: rounds.length,
    http: wayOf(rounds.map(({ http }) => http)),
    direct: wayOf(rounds.map(({ direct }) => direct)),
    ratio: median(rounds.map(({ http, direct }) => direct.ms / http.ms)),
    ...context.origin,
  };
}

/** As many loops as clients, each with one request after the other, which read pieces as they come. */
async function askDirectly(
  model: Model,
  { clients, requests, prompts, newTokens: maxTokens }: ClientLoad,
  signal: AbortSignal | undefined,
): Promise<Measured> {
  const firstMs: number[] = [];
  const wholeMs: number[] = [];
  const texts: string[] = [];
  let next = 0;
  const started = performance.now();
  const loop = async () => {
    for (let index = next++; index < requests; index = next++) {
      const prompt = prompts[index % prompts.length] as readonly number[];
      const asked = performance.now();
      let first: number | undefined;
      let text = '';
      for await (const piece of model.generate(prompt, { maxTokens, temperature: 0, ignoreEos: true, signal })) {
        text += piece.text;
        if (piece.text !== '') first ??= performance.now() - asked;
      }
      wholeMs.push(performance.now() - asked);
      firstMs.push(first ?? (wholeMs.at(-1) as number));
      if (index < prompts.length) texts[index] = text;
    }
  };
  await Promise.all(Array.from({ length: clients }, loop));
  return { ms: performance.now() - started, firstMs, wholeMs, texts };
}

function wayOf(rounds: readonly Measured[]): AskedWay {
  const all = (of: (round: Measured) => readonly number[]): Latency => {
    const times = rounds.flatMap(of);
    return { p50: median(times), p99: quantile(times, 0.99) };
  };
  return {
    requestsPerSecond: median(rounds.map(({ ms, wholeMs }) => (1000 * wholeMs.length) / ms)),
    firstMs: all((round) => round.firstMs),
    wholeMs: all((round) => round.wholeMs),
  };
}
