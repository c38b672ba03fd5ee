// Pins that stay from one run to the next, and what makes a program let go of them.
import { expect, test } from 'vitest';
import { KeptPins, letGoOfIdlePins } from '../../../src/tensor/memory/kept-pins.js';

class Counted {
  pins = 0;
  taken = 0;
  readonly isReleased: boolean;
  constructor(isReleased = false) {
    this.isReleased = isReleased;
  }
  pin(): void {
    if (this.isReleased) throw new Error('released');
    this.pins++;
    this.taken++;
  }
  unpin(): void {
    this.pins--;
  }
}

const counts = (storages: readonly Counted[]) => storages.map(({ pins }) => pins);

test('stay between runs, and are given up once', () => {
  const storages = [new Counted(), new Counted()];
  const pins = new KeptPins(storages);
  for (let run = 0; run < 3; run++) {
    pins.take();
    expect(counts(storages)).toEqual([1, 1]);
    pins.keep();
    expect(counts(storages)).toEqual([1, 1]);
  }
  expect(storages[0]?.taken).toBe(1);
  pins.letGo();
  pins.letGo();
  expect(counts(storages)).toEqual([0, 0]);
});

test('are let go of before anything is released, of every idle program', () => {
  const storages = [new Counted()];
  const first = new KeptPins(storages);
  const second = new KeptPins(storages);
  const running = new KeptPins(storages);
  for (const pins of [first, second, running]) pins.take();
  first.keep();
  second.keep();
  letGoOfIdlePins();
  expect(counts(storages)).toEqual([1]);
  // Something was released during its run: it may have been one of these.
  running.keep();
  expect(counts(storages)).toEqual([0]);
});

test('of which one cannot be taken take none', () => {
  const storages = [new Counted(), new Counted(true), new Counted()];
  expect(() => new KeptPins(storages).take()).toThrow('released');
  expect(counts(storages)).toEqual([0, 0, 0]);
});

test('of a program that runs again stay, whatever is released meanwhile', () => {
  const storages = [new Counted()];
  const pins = new KeptPins(storages);
  pins.take();
  pins.keep();
  pins.take();
  letGoOfIdlePins();
  pins.letGo();
  expect(counts(storages)).toEqual([1]);
  pins.keep();
  expect(counts(storages)).toEqual([0]);
});
