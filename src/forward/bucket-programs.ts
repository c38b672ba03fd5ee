// Recorded programs of one kind that differ in their number of rows: one for each bucket, recorded when it is asked for first,
// and kept. Pure but for what records. Used by the programs of steps and of encoders, which own the memory that they share.
import type { Program } from '../program/program.js';

/** Until the program of a bucket is recorded, one of at most so many times the rows serves. */
const mostPadding = 1.5;

export class BucketPrograms<T> {
  readonly #make: (bucket: number) => Promise<Program<T>>;
  readonly #programs = new Map<number, Program<T>>();
  readonly #recording = new Map<number, Promise<Program<T>>>();
  /** Buckets that {@link ifRecorded} does not try again. */
  readonly #failed = new Set<number>();

  /** @param make records the program of a bucket */
  constructor(make: (bucket: number) => Promise<Program<T>>) {
    this.#make = make;
  }

  get isRecording(): boolean {
    return this.#recording.size > 0;
  }

  /** The program of a bucket. Recorded once, even where it is asked for again meanwhile. @throws what recording throws */
  exactly(bucket: number): Program<T> | Promise<Program<T>> {
    return this.#programs.get(bucket) ?? this.#recording.get(bucket) ?? this.#record(bucket);
  }

  /** The same, or one of a larger bucket until it is recorded. @param rows that are needed of the bucket */
  atLeast(bucket: number, rows = bucket): Program<T> | Promise<Program<T>> {
    const program = this.exactly(bucket);
    if (!(program instanceof Promise)) return program;
    const larger = this.#larger(bucket, rows);
    if (larger === undefined) return program;
    // What went wrong comes up again when the program is needed.
    program.catch(() => {});
    return larger;
  }

  /** The program of a bucket or a larger one, if there is one now; else begins to record it, for callers that can do without. */
  ifRecorded(bucket: number): Program<T> | undefined {
    const program = this.#programs.get(bucket) ?? this.#larger(bucket, bucket);
    if (this.#programs.has(bucket) || this.#recording.has(bucket) || this.#failed.has(bucket)) return program;
    this.#record(bucket).catch(() => this.#failed.add(bucket));
    return program;
  }

  /** Frees the programs; those that are being recorded are kept when they are there. */
  drop(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
    this.#failed.clear();
  }

  #larger(bucket: number, rows: number): Program<T> | undefined {
    const larger = [...this.#programs.keys()].filter((key) => key > bucket && key <= mostPadding * rows);
    return this.#programs.get(Math.min(...larger));
  }

  #record(bucket: number): Promise<Program<T>> {
    const recording = this.#keep(bucket);
    this.#recording.set(bucket, recording);
    return recording;
  }

  async #keep(bucket: number): Promise<Program<T>> {
    try {
      const program = await this.#make(bucket);
      this.#programs.set(bucket, program);
      return program;
    } finally {
      this.#recording.delete(bucket);
    }
  }
}
