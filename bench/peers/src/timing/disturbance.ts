// How much CPU time processes outside of this run took during a measurement, so that disturbed rows can be marked.
// Reads /proc: without it nothing is known.
import { readFileSync } from 'node:fs';

/** In jiffies. */
export interface CpuTimes {
  /** Of all CPUs. */
  readonly total: number;
  /** Used by any process, or taken away by the host. */
  readonly busy: number;
  /** Used by the processes of this run. */
  readonly own: number;
}

/**
 * Reads the times; `pids` are the other processes of this run.
 * @returns undefined where the system does not report them
 */
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

/** The share of all CPUs that other processes took between two readings with the same pids. */
export function othersShare(before: CpuTimes | undefined, after: CpuTimes | undefined): number | null {
  if (before === undefined || after === undefined || after.total <= before.total) return null;
  const others = after.busy - before.busy - (after.own - before.own);
  return Math.max(0, others / (after.total - before.total));
}

/** User and system time of a process: fields 14 and 15 of its stat; field 2 is a name in parentheses. */
function jiffiesOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
