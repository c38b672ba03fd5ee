// A busy neighbour: a process that spins on one CPU, to see where the tiles go then. Stopped unless it is wanted.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export class Neighbour {
  readonly cpu: string;
  readonly #child: ChildProcess;

  private constructor(cpu: string, child: ChildProcess) {
    this.cpu = cpu;
    this.#child = child;
  }

  /** On the first CPU that this process may use. @throws without taskset */
  static async start(): Promise<Neighbour> {
    const cpu = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    const child = spawn('taskset', ['-c', cpu, 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' });
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    process.on('exit', () => child.kill('SIGKILL'));
    child.kill('SIGSTOP');
    return new Neighbour(cpu, child);
  }

  /** Does `work` while the neighbour is busy. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    this.#child.kill('SIGCONT');
    try {
      // Until the scheduler has seen that it is there to stay.
      await sleep(20);
      return await work();
    } finally {
      this.#child.kill('SIGSTOP');
    }
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
