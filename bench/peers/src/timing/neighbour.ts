// A busy neighbour: a process that spins on one CPU, to measure what speed is left beside it. Stopped between its
// turns.
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

  /** Starts it on the first CPU that this process may use, and stops it. @throws Error when taskset is missing */
  static async start(): Promise<Neighbour> {
    const cpu = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    const child = spawn('taskset', ['-c', cpu, 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' });
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    process.on('exit', () => child.kill('SIGKILL'));
    child.kill('SIGSTOP');
    return new Neighbour(cpu, child);
  }

  /** Runs `work` while the neighbour is busy. */
  async beside<T>(work: () => Promise<T>): Promise<T> {
    this.#child.kill('SIGCONT');
    try {
      // Gives the scheduler time to react to it.
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
