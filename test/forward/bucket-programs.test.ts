// The programs of buckets: recorded once, a larger one meanwhile, and again after they were dropped or recording failed.
import { expect, test } from 'vitest';
import { BucketPrograms } from '../../src/forward/bucket-programs.js';
import type { Program } from '../../src/program/program.js';

/** Recordings that end when the test wants it. */
class Recordings {
  readonly asked: number[] = [];
  readonly disposed: number[] = [];
  readonly #ends: (() => void)[] = [];
  fails = false;

  readonly make = (bucket: number): Promise<Program<number>> => {
    this.asked.push(bucket);
    const program = { tensors: bucket, dispose: () => this.disposed.push(bucket) } as unknown as Program<number>;
    const { fails } = this;
    return new Promise((resolve, reject) => {
      this.#ends.push(() => (fails ? reject(new Error('no memory')) : resolve(program)));
    });
  };

  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

test('a program is recorded once, even where it is asked for again meanwhile', async () => {
  const recordings = new Recordings();
  const programs = new BucketPrograms(recordings.make);
  const both = [programs.exactly(8), programs.atLeast(8)];
  expect(programs.isRecording).toBe(true);
  recordings.end();
  const [first, second] = await Promise.all(both);
  expect(first).toBe(second);
  expect(programs.exactly(8)).toBe(first);
  expect(programs.isRecording).toBe(false);
  expect(recordings.asked).toEqual([8]);
});

test('one that is a little larger serves until it is recorded, and no other', async () => {
  const recordings = new Recordings();
  const programs = new BucketPrograms(recordings.make);
  const large = [programs.exactly(12), programs.exactly(16)];
  recordings.end();
  const [twelve] = await Promise.all(large);
  expect(programs.atLeast(8)).toBe(twelve);
  expect(programs.atLeast(7, 6)).toBeInstanceOf(Promise);
  expect(recordings.asked).toEqual([12, 16, 8, 7]);
  recordings.end();
  expect((await programs.exactly(8)).tensors).toBe(8);
});

test('what failed, or was dropped, is recorded again', async () => {
  const recordings = new Recordings();
  const programs = new BucketPrograms(recordings.make);
  recordings.fails = true;
  const failing = programs.exactly(4);
  recordings.end();
  await expect(failing).rejects.toThrow('no memory');
  recordings.fails = false;
  const recorded = programs.exactly(4);
  recordings.end();
  await recorded;
  programs.drop();
  expect(recordings.disposed).toEqual([4]);
  expect(programs.exactly(4)).toBeInstanceOf(Promise);
  recordings.end();
  expect(recordings.asked).toEqual([4, 4, 4]);
});

test('who can do without a program gets it once it is recorded; what failed is not tried again until programs are dropped', async () => {
  const recordings = new Recordings();
  const programs = new BucketPrograms(recordings.make);
  expect(programs.ifRecorded(8)).toBeUndefined();
  expect(programs.ifRecorded(8)).toBeUndefined();
  recordings.end();
  const eight = await programs.exactly(8);
  expect(programs.ifRecorded(8)).toBe(eight);
  // A larger one meanwhile.
  expect(programs.ifRecorded(6)).toBe(eight);
  expect(recordings.asked).toEqual([8, 6]);
  recordings.end();
  expect((await programs.exactly(6)).tensors).toBe(6);
  recordings.fails = true;
  expect(programs.ifRecorded(3)).toBeUndefined();
  const failing = programs.exactly(3);
  recordings.end();
  await expect(failing).rejects.toThrow('no memory');
  expect(programs.ifRecorded(3)).toBeUndefined();
  expect(recordings.asked).toEqual([8, 6, 3]);
  programs.drop();
  expect(programs.ifRecorded(3)).toBeUndefined();
  expect(recordings.asked).toEqual([8, 6, 3, 3]);
});
