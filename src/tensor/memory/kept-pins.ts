// Pins that a program keeps from one run to the next: a forward pass reads hundreds of tensors, and to unpin and pin each
// of them takes some 60 µs between two runs. Whoever releases any memory makes all idle programs let go of theirs first, so
// that nothing is held longer than without this. Used by the runner, for programs whose owner disposes of them.

interface Pinnable {
  pin(): void;
  unpin(): void;
}

const idle = new Set<KeptPins>();
let releases = 0;

/** Called before memory is released: what idle programs have pinned is unpinned. */
export function letGoOfIdlePins(): void {
  releases++;
  if (idle.size === 0) return;
  for (const pins of idle) pins.letGo();
}

export class KeptPins {
  readonly #storages: readonly Pinnable[];
  #isKept = false;
  #releasesSeen = 0;

  constructor(storages: readonly Pinnable[]) {
    this.#storages = storages;
  }

  /** Pins all storages for a run. @throws TesseraeError ERR_DISPOSED if one was released; then none is pinned */
  take(): void {
    this.#releasesSeen = releases;
    if (this.#isKept) {
      this.#isKept = false;
      idle.delete(this);
    } else pinAll(this.#storages);
  }

  /** The run has ended. The pins stay if nothing was released meanwhile. */
  keep(): void {
    if (this.#releasesSeen !== releases) {
      unpinAll(this.#storages);
      return;
    }
    this.#isKept = true;
    idle.add(this);
  }

  /** Unpins what is kept. Does nothing during a run. */
  letGo(): void {
    if (!this.#isKept) return;
    this.#isKept = false;
    idle.delete(this);
    unpinAll(this.#storages);
  }
}

/** Pins all storages. @throws TesseraeError ERR_DISPOSED if one was released; then none is pinned */
export function pinAll(storages: readonly Pinnable[]): void {
  let count = 0;
  try {
    for (; count < storages.length; count++) (storages[count] as Pinnable).pin();
  } catch (error) {
    for (let i = 0; i < count; i++) (storages[i] as Pinnable).unpin();
    throw error;
  }
}

export function unpinAll(storages: readonly Pinnable[]): void {
  for (let i = 0; i < storages.length; i++) (storages[i] as Pinnable).unpin();
}
