// A child process that answers each line on its standard input with one line on its output that begins with '@'. It can
// be stopped (SIGSTOP) while it is not its turn, so that its threads take no time from others. Used for llama.cpp and
// the peers.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LineCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** The environment; by default that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** The longest time that a request may take: a thousand texts are prepared and timed in several ways, which takes minutes. */
const patienceMs = 600_000;

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
    // After an error (the program is missing, a pipe broke) its output ends, and `ask` reports that.
    this.#child.on('error', () => {});
    this.#child.stdin.on('error', () => {});
    this.#answers = answersOf(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /**
   * Sends a request. @returns the words of the answer after `ok`; `unsupported` alone for what the process cannot do
   * @throws Error with the process's message for a failed request, or when it ended or does not answer in time
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

  /** Lets the process run during `work`, and stops it afterwards. */
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
    // The state follows the name, which is in parentheses.
    while (running.has(this.#child) && !/\) [TZX] /.test(readState(this.pid))) await sleep(1);
  }

  async close(): Promise<void> {
    if (!running.has(this.#child)) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    // A program that is missing was never started.
    if (this.#child.pid !== undefined) await exited;
  }
}

/** Reads the f32 numbers that a process wrote to a file, and removes the file. */
export function takeFloats(file: string): Float32Array {
  const bytes = readFileSync(file);
  rmSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

function readState(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // The process has ended, or there is no /proc: stop() does not wait.
    return ') X ';
  }
}

/** The lines that begin with '@', without the '@'. All other lines go to our standard error. */
async function* answersOf(output: Readable): AsyncGenerator<string> {
  for await (const line of createInterface({ input: output })) {
    if (line.startsWith('@')) yield line.slice(1);
    else process.stderr.write(`${line}\n`);
  }
}
