// The figures of a server as lines for a terminal. Pure; used by `tesserae top`.
import { formatBytes, formatMs, formatNumber, formatWorkers } from '../../base/number-text.js';
import type { Figures, Latency } from './read-metrics.js';

export interface View {
  readonly url: string;
  /** Since the server began. */
  readonly all: Figures;
  /** Since the sample before, and how long that is; undefined for the first sample. */
  readonly lately?: { readonly figures: Figures; readonly seconds: number } | undefined;
  /** Why there is no newer sample. */
  readonly problem?: string | undefined;
}

export function viewLines({ url, all, lately, problem }: View): string[] {
  const { requests, tokens, pages, poolBytes } = all;
  const rate = (name: string) =>
    lately === undefined ? '' : `${formatNumber((lately.figures.tokens[name] ?? 0) / lately.seconds)}/s`;
  const recent = lately?.figures ?? all;
  const rows: [label: string, text: string][] = [
    ['server', `${url}, ${formatWorkers(all.workers)} of ${all.threads}, ${all.isa}, models: ${all.models}`],
    ['requests', `${requests.running} running, ${requests.queued} queued, wait ${formatMs(all.expectedWaitMs)}`],
    ['ended', `${requests.completed} completed, ${requests.aborted} aborted, ${requests.failed} failed`],
    ['generated', join(`${whole(tokens.generated ?? 0)} tokens`, rate('generated'))],
    ['prompts', join(`${whole(tokens.prompt ?? 0)} tokens`, rate('prompt'), cachedShare(tokens))],
    ['embedded', join(`${whole(tokens.embedded ?? 0)} tokens`, rate('embedded'))],
    ['first token', latency(recent.timeToFirstToken)],
    ['next token', latency(recent.timeBetweenTokens)],
    ['queue wait', latency(recent.queueWait)],
    ['loop delay', latency(recent.eventLoopDelay)],
    ['steps', join(whole(all.steps), rowsText(recent.rowsPerStep))],
    ['pages', `${pages.used ?? 0} used, ${pages.cached ?? 0} cached, ${pages.free ?? 0} free`],
    ['memory', `${formatBytes(poolBytes.rented ?? 0)} in use of ${formatBytes(poolBytes.budget ?? 0)}`],
    ['cache', `${all.prefixHits} prefix hits, ${all.preemptions} preemptions`],
  ];
  const errors = Object.entries(all.errors).map(([code, count]) => `${code} ${count}`);
  if (errors.length > 0) rows.push(['errors', errors.join(', ')]);
  if (problem !== undefined) rows.push(['no answer', problem]);
  // A server that we do not know must not write control characters to the terminal.
  return rows.map(([name, text]) => `${name.padEnd(12)}${text.replace(/\p{Cc}/gu, '?')}`);
}

function join(...texts: string[]): string {
  return texts.filter((text) => text !== '').join(', ');
}

function whole(count: number): string {
  return count.toLocaleString('en-US');
}

function cachedShare({ prompt = 0, cached = 0 }: Readonly<Record<string, number>>): string {
  return prompt === 0 ? '' : `${formatNumber((100 * cached) / prompt)} % from the cache`;
}

function rowsText(rows: number | null): string {
  return rows === null ? '' : `${formatNumber(rows)} rows each`;
}

function latency({ count, p50Ms, p99Ms }: Latency): string {
  if (p50Ms === null || p99Ms === null) return 'none';
  return `p50 ${formatMs(p50Ms)}, p99 ${formatMs(p99Ms)} of ${whole(count)}`;
}
