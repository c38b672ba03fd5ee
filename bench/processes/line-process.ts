// A process that obeys lines: one request on its standard input, one answer that begins with '@' on its output. It can be
// kept stopped (SIGSTOP) while it is not its turn, so that none of its threads takes time from another contender.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LineCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** This process's own by default. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** The longest that any request may take. */
const patienceMs = 120_000;

const running = new Set<Child>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class LineProcess {
  readonly #child: Child;
  readonly #answers: AsyncIterator<string>;

  constructor({ file, args, env }: LineCommand) {
    this.#child = spawn(file, args, { ...(env === undefined ? {} : { env }), stdio: ['pipe', 'pipe', 'inherit'] });
    running.add(this.#child);
    this.#child.once('exit', () => running.delete(this.#child));
    // An error shows as the end of its output: a program that is not there, a pipe that broke.
    this.#child.on('error', () => {});
    this.#child.stdin.on('error', () => {});
    this.#answers = answersOf(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /**
   * The words of the answer, without its `ok`.
   * @throws Error with what the process says of a request that failed, or that it ended or does not answer
   */
  async ask(request: string): Promise<string[]> {
    this.#child.stdin.write(`${request}\n`);
    const controller = new AbortController();
    const patience = sleep(patienceMs, undefined, { signal: controller.signal }).then(
      () => undefined,
      () => undefined,
    );
    const answer = await Promise.race([this.#answers.next(), patience]);
    controller.abort();
    if (answer === undefined) {
      this.#child.kill('SIGKILL');
      throw new Error(`no answer to '${request.slice(0, 60)}' within ${patienceMs / 1000} s`);
    }
    if (answer.done === true) throw new Error('its process ended');
    const [status, ...words] = answer.value.trim().split(' ');
    if (status === 'ok') return words;
    if (status === 'unsupported') return ['unsupported'];
    throw new Error(words.join(' '));
  }

  /** Runs the process while `work` lasts, and leaves it stopped. */
  async awake<T>(work: () => Promise<T>): Promise<T> {
    this.#child.kill('SIGCONT');
    try {
      return await work();
    } finally {
      await this.stop();
    }
  }

  /** Stops it, and waits until the system shows it as stopped. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP');
    // The state follows the name, which stands in parentheses.
    while (running.has(this.#child) && !/\) [TZX] /.test(readState(this.pid))) await sleep(1);
  }

  async close(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    // A program that was not there has no process to end.
    if (this.#child.pid !== undefined) await exited;
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

/** The lines that begin with '@', without it; what else a process prints goes to our standard error. */
async function* answersOf(output: Readable): AsyncGenerator<string> {
  for await (const line of createInterface({ input: output })) {
    if (line.startsWith('@')) yield line.slice(1);
    else process.stderr.write(`${line}\n`);
  }
}
