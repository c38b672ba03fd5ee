// Decoding alone, over sessions whose prompts are computed before: many at once over one, and what a step takes of the main
// thread.
import { readFileSync } from 'node:fs';
import type { Model, Session } from '../../../src/index.js';
import type { BenchContext } from '../../measuring/context.js';
import { integersBelow } from '../../measuring/seeded-numbers.js';
import { median } from '../../measuring/statistics.js';
import { WrongResultError } from '../../measuring/wrong-result.js';
import { atLeast, atMost, type ServingFigure, type ServingTarget } from './serving-report.js';
import { greedy, msOf, rest, type ServingSizes } from './workload.js';

/** The model is the one of which something is asked. */
interface Asked {
  readonly isAsked: boolean;
}

/** Many sessions continue at once over one of them alone, with keys and values in f16. */
export async function decodingAlone(
  context: BenchContext,
  model: Model,
  { atOnce, sessionTokens, newTokens }: ServingSizes['decoding'],
  { isAsked }: Asked,
): Promise<ServingFigure> {
  const { signal, rounds } = context;
  const { vocabulary } = model.info;
  const sessions: Session[] = [];
  try {
    for (let index = 0; index < atOnce; index++) {
      context.progress(`serving, decoding alone, prompt ${index + 1} of ${atOnce}`);
      const session = model.session({ kvType: 'f16' });
      sessions.push(session);
      await session.append(integersBelow(vocabulary, sessionTokens, 2000 + index), { signal });
    }
    const known = new Map<Session, string>();
    const decode = async (session: Session): Promise<void> => {
      const { tokens } = await session.generate([1], { ...greedy, maxTokens: newTokens, signal }).result;
      session.rewind(sessionTokens);
      if ((known.get(session) ?? tokens.join()) !== tokens.join()) throw new WrongResultError('decoding alone');
      known.set(session, tokens.join());
    };
    const together = () => Promise.all(sessions.map(decode));
    const alone = (round: number) => decode(sessions[round % atOnce] as Session);
    const times: { readonly together: number; readonly alone: number }[] = [];
    // The first round records programs, and is not counted.
    for (let round = 0; round <= rounds; round++) {
      context.progress(`serving, decoding alone, round ${round} of ${rounds}`);
      await rest(context);
      const own = { together: await msOf(together), alone: 0 };
      await rest(context);
      own.alone = await msOf(() => alone(round));
      if (round > 0) times.push(own);
    }
    const keys = sessionTokens + newTokens / 2;
    const rate = (sequences: number, ms: number) => `${((1000 * sequences * newTokens) / ms).toFixed(0)} tokens/s`;
    return {
      name: `decode_${atOnce}_over_1`,
      what: `decoding over ${keys} keys in f16: ${atOnce} sequences at once over one`,
      unit: '×',
      value: median(times.map((own) => (atOnce * own.alone) / own.together)),
      samples: rounds,
      detail: `${rate(atOnce, median(times.map((own) => own.together)))} over ${rate(1, median(times.map((own) => own.alone)))}`,
      target: isAsked ? atLeast(6) : null,
    };
  } finally {
    for (const session of sessions) session.dispose();
  }
}

/** Microseconds of the main thread, by sequences. */
const mostUs: Readonly<Record<number, number>> = { 8: 150, 32: 400, 128: 1200 };
const shortPrompt = 4;
const steps = 40;

/** CPU time of the main thread for each step while so many sequences decode, callers that await results included. */
export async function mainThread(
  context: BenchContext,
  model: Model,
  sequences: number,
  { isAsked }: Asked,
): Promise<ServingFigure> {
  const { widest: engine, signal, rounds } = context;
  const options = { ...greedy, maxTokens: steps, signal };
  const prompt = (index: number) => integersBelow(model.info.vocabulary, shortPrompt, 3000 + index);
  const cpu: number[] = [];
  const between: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    context.progress(`serving, main thread with ${sequences} sequences, round ${round} of ${rounds}`);
    await rest(context);
    const others = Array.from({ length: sequences - 1 }, (_, index) => model.generate(prompt(index), options).result);
    const last = model.generate(prompt(sequences - 1), options);
    // From the first token of the last one, all decode, until the first one is complete.
    await last.next();
    const before = { cpu: threadCpuUs(), serving: engine.stats().serving };
    await (others[0] ?? last.result);
    const after = { cpu: threadCpuUs(), serving: engine.stats().serving };
    await Promise.all([...others, last.result]);
    const count = after.serving.steps - before.serving.steps;
    if (round === 0 || count === 0) continue;
    cpu.push((after.cpu - before.cpu) / count);
    between.push((1000 * (after.serving.overheadMs - before.serving.overheadMs)) / count);
  }
  const most = mostUs[sequences];
  const target: ServingTarget | null = isAsked && most !== undefined ? atMost(most) : null;
  return {
    name: `main_thread_${sequences}`,
    what: `CPU time of the main thread for a step of ${sequences} sequences that decode`,
    unit: 'µs',
    value: median(cpu),
    samples: cpu.length,
    detail: `${median(between).toFixed(0)} µs between the programs of two steps`,
    target,
  };
}

/** CPU time that this process's main thread has used. */
function threadCpuUs(): number {
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
  return Number(nanoseconds) / 1000;
}
