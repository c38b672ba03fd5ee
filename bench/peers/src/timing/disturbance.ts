// How much of the machine others took while we measured: a figure from a disturbed minute is worth less, and the reader
// should know. Linux; elsewhere nothing is known.
import { readFileSync } from 'node:fs';

/** Jiffies: of all CPUs, those that anyone used (or the host took away), and those of our own processes. */
export interface CpuTimes {
  readonly total: number;
  readonly busy: number;
  readonly own: number;
}

/** @returns undefined where the system does not tell */
export function readCpuTimes(pids: readonly number[]): CpuTimes | undefined {
  try {
    const fields = (readFileSync('/proc/stat', 'utf8').split('\n')[0] as string)
      .trim()
      .split(/\s+/)
      .slice(1, 9)
      .map(Number);
    const total = fields.reduce((sum, value) => sum + value, 0);
    const [, , , idle = 0, waiting = 0] = fields;
    return {
      total,
      busy: total - idle - waiting,
      own: [process.pid, ...pids].reduce((sum, pid) => sum + jiffiesOf(pid), 0),
    };
  } catch {
    return undefined;
  }
}

/** The share of all CPUs that others took between two readings, by the same processes. */
export function othersShare(before: CpuTimes | undefined, after: CpuTimes | undefined): number | null {
  if (before === undefined || after === undefined || after.total <= before.total) return null;
  const others = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, others / (after.total - before.total));
}

/** User and system time of a process: the 14th and 15th field, the second of which is a name in parentheses. */
function jiffiesOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
