// The runner's side of a peer's process: asks it to prepare and time work, and keeps it stopped (SIGSTOP) whenever it is
// not its turn.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type LineCommand, LineProcess } from '../../../../dist/bench/processes/line-process.js';
import type { TurnOptions } from '../timing/turn.js';
import { encodeWork, type Work } from '../work/work.js';

export class PeerProcess {
  readonly name: string;
  /** Name and version, as the peer tells it. */
  readonly about: string;
  readonly #process: LineProcess;

  private constructor(name: string, about: string, process: LineProcess) {
    this.name = name;
    this.about = about;
    this.#process = process;
  }

  /** Starts the process and leaves it stopped. @throws when the peer is absent, with the reason */
  static async open(name: string, command: LineCommand): Promise<PeerProcess> {
    const process = new LineProcess(command);
    const about = await process.ask('open').catch(async (error: unknown) => {
      await process.close();
      throw error;
    });
    await process.stop();
    return new PeerProcess(name, about.join(' '), process);
  }

  /** @returns how the peer does it, or undefined for work that it does not do */
  async prepare(work: Work): Promise<string | undefined> {
    const answer = await this.#ask(`prepare ${encodeWork(work)}`);
    return answer[0] === 'unsupported' ? undefined : answer.join(' ');
  }

  /** @returns the duration of every timed call in milliseconds */
  async turn({ turnMs, warmups, restMs }: TurnOptions): Promise<number[]> {
    return (await this.#ask(`turn ${turnMs} ${warmups} ${restMs}`)).map(Number);
  }

  /** What the last call computed. */
  async result(folder: string): Promise<Float32Array> {
    const file = join(folder, 'result.f32');
    await this.#ask(`result ${file}`);
    const bytes = readFileSync(file);
    rmSync(file);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / Float32Array.BYTES_PER_ELEMENT);
  }

  async release(): Promise<void> {
    await this.#ask('release');
  }

  get pid(): number {
    return this.#process.pid;
  }

  async close(): Promise<void> {
    await this.#process.close();
  }

  #ask(request: string): Promise<string[]> {
    return this.#process.awake(() => this.#process.ask(request));
  }
}
