// A peer's process as the runner sees it: requests to prepare and to time work. The process runs only during a request.
import { join } from 'node:path';
import { type LineCommand, LineProcess, takeFloats } from '../../../../dist/bench/processes/line-process.js';
import type { TurnOptions } from '../timing/turn.js';
import { encodeWork, type Work } from '../work/work.js';

export class PeerProcess {
  readonly name: string;
  /** Name and version, as the peer reports them. */
  readonly about: string;
  readonly #process: LineProcess;

  private constructor(name: string, about: string, process: LineProcess) {
    this.name = name;
    this.about = about;
    this.#process = process;
  }

  /** Starts the process and leaves it stopped. @throws Error with the reason when the peer is absent */
  static async open(name: string, command: LineCommand): Promise<PeerProcess> {
    const process = new LineProcess(command);
    const about = await process.ask('open').catch(async (error: unknown) => {
      await process.close();
      throw error;
    });
    await process.stop();
    return new PeerProcess(name, about.join(' '), process);
  }

  /** Prepares work. @returns how the peer does it, or undefined for work that it cannot do */
  async prepare(work: Work): Promise<string | undefined> {
    const answer = await this.#ask(`prepare ${encodeWork(work)}`);
    return answer[0] === 'unsupported' ? undefined : answer.join(' ');
  }

  /** Times a turn. @returns the duration of every timed call in milliseconds */
  async turn({ turnMs, warmups, restMs }: TurnOptions): Promise<number[]> {
    return (await this.#ask(`turn ${turnMs} ${warmups} ${restMs}`)).map(Number);
  }

  /** The result of the last call. */
  async result(folder: string): Promise<Float32Array> {
    const file = join(folder, 'result.f32');
    await this.#ask(`result ${file}`);
    return takeFloats(file);
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
