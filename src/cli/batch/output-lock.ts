// Keeps two processes from writing one output: a file beside it that names the process that has it. A file of a process that
// is dead is taken over. Called by batch-output.ts.
import { readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from '../run-command.js';

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as Linux counts it: ids of processes come again. Null where that is not known. */
  readonly started: string | null;
}

/** How long a lock may be empty: its process has made it and is about to write to it. */
const emptyMs = 1000;
const pollMs = 20;

/**
 * Takes the lock of an output.
 * @returns releases it
 * @throws CommandError where a process that lives has it
 */
export async function lockOutput(output: string): Promise<() => Promise<void>> {
  const path = await realpath(output).catch(() => output);
  const lock = `${path}.lock`;
  const mine: Holder = { pid: process.pid, host: hostname(), started: await startOf(process.pid) };
  for (;;) {
    if (await isMade(lock, JSON.stringify(mine))) return () => rm(lock, { force: true });
    const text = await readHolder(lock);
    if (text === undefined) continue;
    const holder = holderOf(text);
    if (holder !== undefined && (await isAlive(holder))) {
      const where = holder.host === mine.host ? '' : ` on ${holder.host}`;
      throw new CommandError(`${output} is in use by process ${holder.pid}${where}: its lock is ${lock}`);
    }
    await removeDead(lock, text);
  }
}

async function isMade(lock: string, text: string): Promise<boolean> {
  try {
    await writeFile(lock, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The text of a lock; undefined where it is gone. */
async function readHolder(lock: string): Promise<string | undefined> {
  for (let waited = 0; ; waited += pollMs) {
    const text = await readIfThere(lock);
    if (text !== '' || waited >= emptyMs) return text;
    await sleep(pollMs);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the lock of a dead process, but not that of a process that has taken it over meanwhile. */
async function removeDead(lock: string, text: string): Promise<void> {
  const aside = `${lock}.${process.pid}`;
  try {
    await rename(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readIfThere(aside)) === text) await rm(aside, { force: true });
  else await rename(aside, lock);
}

function holderOf(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Partial<Holder> | null;
    return typeof holder?.pid === 'number' && typeof holder.host === 'string' ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** A process of another machine counts as alive: nobody here knows better. */
async function isAlive({ pid, host, started }: Holder): Promise<boolean> {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started === null || started === (await startOf(pid));
}

/** The time since the start of the machine at which a process began; null where there is no /proc. */
async function startOf(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the program, in parentheses, may have spaces. The time is the 22nd member, the 20th after the name.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
