// The runner's side of a peer's process: starts it, asks it to prepare and time work, and keeps it stopped (SIGSTOP)
// whenever it is not its turn, so that no spinning thread pool takes time from another contender.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TurnOptions } from './turn.js';
import { encodeWork, type Work } from './work.js';

export interface PeerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** The longest that any request may take. */
const patienceMs = 120_000;

const running = new Set<Child>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class PeerProcess {
  readonly name: string;
  /** Name and version, as the peer tells it. */
  readonly about: string;
  readonly #child: Child;
  readonly #answers: AsyncIterator<string>;

  private constructor(name: string, about: string, child: Child, answers: AsyncIterator<string>) {
    this.name = name;
    this.about = about;
    this.#child = child;
    this.#answers = answers;
  }

  /** Starts the process and leaves it stopped. @throws when the peer is absent, with the reason */
  static async open(name: string, command: PeerCommand): Promise<PeerProcess> {
    const child = spawn(command.file, command.args, { env: command.env, stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    // An error shows as the end of its output: a program that is not there, a pipe that broke.
    child.on('error', () => {});
    child.stdin.on('error', () => {});
    const answers = answersOf(child.stdout);
    const about = await ask(child, answers, 'open').catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });
    const peer = new PeerProcess(name, about.join(' '), child, answers);
    await peer.#stop();
    return peer;
  }

  /** @returns how the peer does it, or undefined for work that it does not do */
  async prepare(work: Work): Promise<string | undefined> {
    return this.#awake(async () => {
      const answer = await ask(this.#child, this.#answers, `prepare ${encodeWork(work)}`);
      return answer[0] === 'unsupported' ? undefined : answer.join(' ');
    });
  }

  /** @returns the duration of every timed call in milliseconds */
  async turn({ turnMs, warmups, restMs }: TurnOptions): Promise<number[]> {
    return this.#awake(async () => {
      const answer = await ask(this.#child, this.#answers, `turn ${turnMs} ${warmups} ${restMs}`);
      return answer.map(Number);
    });
  }

  /** What the last call computed. */
  async result(folder: string): Promise<Float32Array> {
    const file = join(folder, 'result.f32');
    await this.#awake(() => ask(this.#child, this.#answers, `result ${file}`));
    const bytes = readFileSync(file);
    rmSync(file);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
  }

  async release(): Promise<void> {
    await this.#awake(() => ask(this.#child, this.#answers, 'release'));
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  async close(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  async #awake<T>(work: () => Promise<T>): Promise<T> {
    this.#child.kill('SIGCONT');
    try {
      return await work();
    } finally {
      await this.#stop();
    }
  }

  async #stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    // The state follows the name, which stands in parentheses.
    while (running.has(this.#child) && !/\) [TZX] /.test(readState(this.#child.pid as number))) await sleep(1);
  }
}

function readState(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // It has ended, or this system has no /proc: then the signal alone must do.
    return ') X ';
  }
}

/** The lines that begin with '@', without it; what else a peer prints goes to our standard error. */
async function* answersOf(output: Readable): AsyncGenerator<string> {
  for await (const line of createInterface({ input: output })) {
    if (line.startsWith('@')) yield line.slice(1);
    else process.stderr.write(`${line}\n`);
  }
}

async function ask(child: Child, answers: AsyncIterator<string>, request: string): Promise<string[]> {
  child.stdin.write(`${request}\n`);
  const controller = new AbortController();
  const patience = sleep(patienceMs, undefined, { signal: controller.signal }).then(
    () => undefined,
    () => undefined,
  );
  const answer = await Promise.race([answers.next(), patience]);
  controller.abort();
  if (answer === undefined) {
    child.kill('SIGKILL');
    throw new Error(`no answer to '${request}' within ${patienceMs / 1000} s`);
  }
  if (answer.done === true) throw new Error('its process ended');
  const [status, ...words] = answer.value.trim().split(' ');
  if (status === 'ok') return words;
  if (status === 'unsupported') return ['unsupported'];
  throw new Error(words.join(' '));
}
