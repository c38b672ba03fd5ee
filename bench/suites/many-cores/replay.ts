// Replays the tiles of a program on any number of simulated workers, as a discrete-event simulation of the executor: claims,
// steps that wait for others, hand-overs and shared memory bandwidth. Pure functions; the suite many-cores measures the costs.

/** A step, with the time that each of its tiles takes alone on one core. */
export interface ReplayStep {
  /** It starts when this many steps at the front of the program are complete. */
  readonly after: number;
  readonly tileNs: readonly number[];
  /** Bytes that it reads from memory, outside the caches. */
  readonly bytes: number;
}

export interface ReplayCosts {
  /** From the call to the first tile, and from the last tile to the end that the caller sees: the main thread's share. */
  readonly serialNs: number;
  /** From the completion of a step until a waiting worker begins a tile of the next; also how long a woken worker takes. */
  readonly handOverNs: number;
  /** From the end of a tile to the next on the same worker. Claims of one step follow each other at this distance. */
  readonly claimNs: number;
  /** Bytes a nanosecond that all workers together can read. */
  readonly readBytesPerNs: number;
}

/** The workers that wake up at the start, in a chain: two are woken, and each wakes two more (native/core/bell.h). */
const wokenEach = 2;

interface Tile {
  readonly worker: number;
  readonly step: number;
  /** Nanoseconds left at full speed, and bytes a nanosecond that it reads then. */
  left: number;
  readonly demand: number;
}

interface Start {
  readonly atNs: number;
  readonly tile: Tile;
}

/** The time of one run on as many workers, in nanoseconds. */
export function replay(steps: readonly ReplayStep[], workers: number, costs: ReplayCosts): number {
  const done = steps.map(() => 0);
  const claimed = steps.map(() => 0);
  const nextClaimNs = steps.map(() => 0);
  const starts = new StartQueue();
  const running: Tile[] = [];
  /** Since when each waiting worker can claim a tile. */
  const waiting = new Map<number, number>();
  let complete = 0;
  let nowNs = 0;

  const claim = (worker: number, readyNs: number): boolean => {
    for (let step = complete; step < steps.length; step++) {
      const { after, tileNs, bytes } = steps[step] as ReplayStep;
      if (after > complete) return false;
      const tile = claimed[step] as number;
      if (tile === tileNs.length) continue;
      claimed[step] = tile + 1;
      const atNs = Math.max(readyNs, nextClaimNs[step] as number) + costs.claimNs;
      nextClaimNs[step] = atNs;
      const left = tileNs[tile] as number;
      const demand = left > 0 ? bytes / tileNs.length / left : 0;
      starts.push({ atNs, tile: { worker, step, left, demand } });
      return true;
    }
    return false;
  };
  const look = (worker: number, readyNs: number) => {
    if (!claim(worker, readyNs)) waiting.set(worker, readyNs);
  };
  const completeTile = (tile: Tile) => {
    const count = (done[tile.step] as number) + 1;
    done[tile.step] = count;
    const before = complete;
    while (complete < steps.length && done[complete] === steps[complete]?.tileNs.length) complete++;
    look(tile.worker, nowNs);
    if (complete === before) return;
    for (const [worker, sinceNs] of [...waiting]) {
      if (worker === tile.worker) continue;
      if (claim(worker, Math.max(sinceNs, nowNs + costs.handOverNs))) waiting.delete(worker);
    }
  };

  while (complete < steps.length && steps[complete]?.tileNs.length === 0) complete++;
  for (let worker = 0; worker < workers; worker++) look(worker, wakeDepth(worker) * costs.handOverNs);
  while (running.length > 0 || starts.length > 0) {
    const speeds = speedsOf(running, costs.readBytesPerNs);
    let endNs = Number.POSITIVE_INFINITY;
    let first = -1;
    running.forEach((tile, index) => {
      const atNs = nowNs + tile.left / (speeds[index] as number);
      if (atNs < endNs) [endNs, first] = [atNs, index];
    });
    const nextNs = Math.min(endNs, starts.nextNs);
    running.forEach((tile, index) => {
      tile.left = Math.max(0, tile.left - (nextNs - nowNs) * (speeds[index] as number));
    });
    nowNs = nextNs;
    if (starts.nextNs <= endNs) running.push(starts.pop());
    else {
      const tile = running[first] as Tile;
      running[first] = running[running.length - 1] as Tile;
      running.pop();
      completeTile(tile);
    }
  }
  return nowNs + costs.serialNs;
}

/** How many hand-overs after the first a worker is awake. */
function wakeDepth(worker: number): number {
  let depth = 0;
  for (let awake = wokenEach; worker >= awake; awake += wokenEach ** (depth + 1)) depth++;
  return depth;
}

/** The speed of each tile, 1 without company: if together they read more than memory gives, none gets more than a fair share. */
function speedsOf(tiles: readonly Tile[], readBytesPerNs: number): number[] {
  const total = tiles.reduce((sum, { demand }) => sum + demand, 0);
  if (total <= readBytesPerNs) return tiles.map(() => 1);
  const ascending = tiles.map(({ demand }) => demand).sort((a, b) => a - b);
  let rest = readBytesPerNs;
  let share = 0;
  for (const [index, demand] of ascending.entries()) {
    share = rest / (ascending.length - index);
    if (demand > share) break;
    rest -= demand;
  }
  return tiles.map(({ demand }) => Math.min(1, share / demand));
}

/** Starts in the order of their times: a binary heap. */
class StartQueue {
  readonly #heap: Start[] = [];

  get length(): number {
    return this.#heap.length;
  }

  get nextNs(): number {
    return this.#heap[0]?.atNs ?? Number.POSITIVE_INFINITY;
  }

  push(start: Start): void {
    const heap = this.#heap;
    let at = heap.push(start) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as Start).atNs <= start.atNs) break;
      heap[at] = heap[parent] as Start;
      at = parent;
    }
    heap[at] = start;
  }

  pop(): Tile {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop() as Start;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && (heap[child + 1] as Start).atNs < (heap[child] as Start).atNs) child++;
        if ((heap[child] as Start).atNs >= last.atNs) break;
        heap[at] = heap[child] as Start;
        at = child;
      }
      heap[at] = last;
    }
    return (first as Start).tile;
  }
}

export type Bound = 'cores' | 'tiles' | 'hand-overs' | 'memory' | 'main thread';

/** What ends the scaling: that without which the run would be faster by the most; the cores, if nothing else gains 5 %. */
export function boundOf(steps: readonly ReplayStep[], workers: number, costs: ReplayCosts): Bound {
  const timeNs = replay(steps, workers, costs);
  const without: Readonly<Record<Exclude<Bound, 'cores'>, number>> = {
    tiles: replay(evenly(steps, workers), workers, costs),
    'hand-overs': replay(steps, workers, { ...costs, handOverNs: 0, claimNs: 0 }),
    memory: replay(steps, workers, { ...costs, readBytesPerNs: Number.POSITIVE_INFINITY }),
    'main thread': replay(steps, workers, { ...costs, serialNs: 0 }),
  };
  const [bound, ns] = Object.entries(without).reduce((best, one) => (one[1] < best[1] ? one : best));
  return timeNs / ns < 1.05 ? 'cores' : (bound as Bound);
}

/** The same work with every step cut into as many equal tiles as there are workers. */
function evenly(steps: readonly ReplayStep[], workers: number): ReplayStep[] {
  return steps.map((step) => {
    const tileNs = step.tileNs.reduce((sum, ns) => sum + ns, 0) / workers;
    return { ...step, tileNs: new Array<number>(workers).fill(tileNs) };
  });
}
