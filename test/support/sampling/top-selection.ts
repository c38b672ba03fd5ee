// Selects the few highest of many values, best first, the lowest index first among equal values. It reads each value
// once and moves only values that enter the selection. Called by sampler.ts and logprobs.ts.

export class TopSelection {
  /** Indices of the selected values, best first. */
  ids = new Int32Array(0);

  /** Fills `ids` with the `most` highest, or with all if there are fewer. @returns how many */
  select(values: Float32Array, most: number): number {
    const count = Math.min(most, values.length);
    if (this.ids.length < count) this.ids = new Int32Array(count);
    if (count === 0) return 0;
    const ids = this.ids;
    // A heap with the worst selected value at its root: a better value replaces it.
    for (let id = 0; id < count; id++) ids[id] = id;
    for (let at = (count >> 1) - 1; at >= 0; at--) sink(ids, values, at, ids[at] as number, count);
    let worst = values[ids[0] as number] as number;
    for (let id = count; id < values.length; id++) {
      if (!((values[id] as number) > worst)) continue;
      sink(ids, values, 0, id, count);
      worst = values[ids[0] as number] as number;
    }
    for (let size = count - 1; size > 0; size--) {
      const last = ids[size] as number;
      ids[size] = ids[0] as number;
      sink(ids, values, 0, last, size);
    }
    return count;
  }
}

function sink(ids: Int32Array, values: Float32Array, start: number, id: number, size: number): void {
  let at = start;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && isWorse(values, ids[child + 1] as number, ids[child] as number)) child += 1;
    if (!isWorse(values, ids[child] as number, id)) break;
    ids[at] = ids[child] as number;
    at = child;
  }
  ids[at] = id;
}

function isWorse(values: Float32Array, a: number, b: number): boolean {
  const left = values[a] as number;
  const right = values[b] as number;
  return left < right || (left === right && a > b);
}
