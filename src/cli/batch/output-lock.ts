// Keeps two processes from writing one output: a file beside it that names the process that has it. The lock of a process that
// is dead is taken over; on another machine that is one that is not renewed. Called by batch-output.ts.
import { readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from '../run-command.js';

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, as Linux counts it: ids of processes come again. Null where that is not known. */
  readonly started: string | null;
}

export interface LockTimes {
  /** How often the time of the lock's file is renewed. */
  readonly renewMs: number;
  /** How long the lock of a process on another machine may go without that. Longer than several renewals. */
  readonly patienceMs: number;
}

const defaultTimes: LockTimes = { renewMs: 5000, patienceMs: 20_000 };
/** How long a lock may be empty: its process has made it and is about to write to it. */
const emptyMs = 1000;
const pollMs = 20;

/** Made by {@link lockOutput}. */
export class OutputLock {
  readonly #path: string;
  readonly #text: string;
  readonly #timer: NodeJS.Timeout;
  #isLost = false;

  /** @internal */
  constructor(path: string, text: string, renewMs: number) {
    this.#path = path;
    this.#text = text;
    this.#timer = setInterval(() => void this.#renew(), renewMs).unref();
  }

  /** Whether another process has taken it over: this one may have been stopped for long. */
  get isLost(): boolean {
    return this.#isLost;
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    if ((await readIfThere(this.#path)) === this.#text) await rm(this.#path, { force: true });
  }

  async #renew(): Promise<void> {
    try {
      this.#isLost = (await readIfThere(this.#path)) !== this.#text;
      if (!this.#isLost) await utimes(this.#path, new Date(), new Date());
    } catch {
      // The disk may be away for a moment.
    }
  }
}

/** Takes the lock of an output. @throws CommandError where a process that lives has it */
export async function lockOutput(output: string, times: LockTimes = defaultTimes): Promise<OutputLock> {
  const path = `${await realpath(output).catch(() => output)}.lock`;
  const mine: Holder = { pid: process.pid, host: hostname(), started: await startOf(process.pid) };
  for (;;) {
    const text = JSON.stringify(mine);
    if (await isMade(path, text)) return new OutputLock(path, text, times.renewMs);
    const held = await readHolder(path);
    if (held === undefined) continue;
    const holder = holderOf(held);
    const isHeld = holder?.host === mine.host ? isAlive(holder) : holder !== undefined && isRenewed(path, times);
    if (await isHeld) {
      const where = holder?.host === mine.host ? '' : ` on ${holder?.host}`;
      throw new CommandError(`${output} is in use by process ${holder?.pid}${where}: its lock is ${path}`);
    }
    await removeDead(path, held);
  }
}

async function isMade(lock: string, text: string): Promise<boolean> {
  try {
    await writeFile(lock, text, { flag: 'wx' });
    // Another process may have removed it while it was empty.
    return (await readIfThere(lock)) === text;
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

async function isAlive({ pid, started }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started === null || started === (await startOf(pid));
}

/** Whether the lock of a process that cannot be asked for is renewed. Its times are compared with each other, not with a clock. */
async function isRenewed(lock: string, { renewMs, patienceMs }: LockTimes): Promise<boolean> {
  const timeOf = () =>
    stat(lock).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
  const first = await timeOf();
  for (let waited = 0; waited < patienceMs; waited += renewMs) {
    await sleep(renewMs);
    const time = await timeOf();
    if (time !== first) return time !== undefined;
  }
  return false;
}

/** The time since the start of the machine at which a process began; null where there is no /proc. */
async function startOf(pid: number): Promise<string | null> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the program, in parentheses, may have spaces. The time is the 22nd member, the 20th after the name.
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}
