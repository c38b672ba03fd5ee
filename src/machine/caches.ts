// The CPU's caches as Linux reports them in sysfs. Only reads them. Called by block-sizes.ts, and by the benchmarks and
// the command `info` to describe the machine.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from './read-text.js';

export interface Cache {
  readonly level: number;
  readonly kind: 'data' | 'instruction' | 'unified';
  readonly sizeBytes: number;
  readonly lineBytes: number;
  /** Logical CPUs that share it. */
  readonly sharedBy: number;
}

const kinds: Readonly<Record<string, Cache['kind']>> = { Data: 'data', Instruction: 'instruction', Unified: 'unified' };

/** The caches of one CPU, L1 first; none if the system does not report them, as in some containers. */
export function readCaches(folder = '/sys/devices/system/cpu/cpu0/cache'): Cache[] {
  const caches: Cache[] = [];
  for (const index of entriesOf(folder)) {
    const read = (name: string) => readText(join(folder, index, name));
    const kind = kinds[read('type')];
    const level = Number.parseInt(read('level'), 10);
    const sizeBytes = parseSize(read('size'));
    if (kind === undefined || !(level > 0) || sizeBytes === undefined) continue;
    const lineBytes = Number.parseInt(read('coherency_line_size'), 10) || 0;
    caches.push({ level, kind, sizeBytes, lineBytes, sharedBy: countCpus(read('shared_cpu_list')) });
  }
  return caches.sort((a, b) => a.level - b.level || a.kind.localeCompare(b.kind));
}

/** `L1d`, `L1i`, `L2`. */
export function cacheName({ level, kind }: Cache): string {
  return `L${level}${kind === 'unified' ? '' : kind[0]}`;
}

/** CPUs in a list: `0-3,8` are five. An empty list counts as one, the CPU itself. */
function countCpus(list: string): number {
  let count = 0;
  for (const [, first, last] of list.matchAll(/(\d+)(?:-(\d+))?/g)) count += Number(last ?? first) - Number(first) + 1;
  return Math.max(1, count);
}

/** `32K`, `1024K`, `32M` */
function parseSize(text: string): number | undefined {
  const [, digits, unit] = /^(\d+)([KMG]?)$/.exec(text) ?? [];
  const factor = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[unit ?? ''];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^index\d+$/.test(name));
  } catch {
    return [];
  }
}
