// Takes from profiles what a replay needs: the steps with the times of their tiles, and what claims, hand-overs and the main
// thread cost in measured runs. Pure functions; used by many-cores.ts.
import type { ProgramProfile, TileSpan } from '../../../src/index.js';
import { median } from '../../measuring/statistics.js';
import type { ReplayCosts, ReplayStep } from './replay.js';

/**
 * The steps of a program from runs of it alone on one core: of each tile the shortest time, since anything else on this
 * machine only adds to it. Where all operands together take no more than `cachedBytes`, they are not read from memory.
 */
export function replaySteps(runs: readonly ProgramProfile[], cachedBytes: number): ReplayStep[] {
  const { steps, tiles } = runs[0] as ProgramProfile;
  const tileNs = steps.map((): number[] => []);
  tiles.forEach(({ step }, index) => {
    const times = runs.map((run) => run.tiles[index] as TileSpan).map(({ startNs, endNs }) => endNs - startNs);
    tileNs[step]?.push(Math.min(...times));
  });
  // The profile counts the whole table of an embedding, which reads only as many bytes as it writes.
  const bytes = steps.map((step) => (step.kernel.includes('embedding') ? step.bytesWritten : step.bytesRead));
  const isCached = bytes.reduce((sum, one) => sum + one, 0) <= cachedBytes;
  return steps.map(({ after }, index) => ({
    after,
    tileNs: tileNs[index] as number[],
    bytes: isCached ? 0 : (bytes[index] as number),
  }));
}

/** The time outside of all tiles, before the first and after the last. */
export function serialNs({ tiles, wallNs }: ProgramProfile): number {
  if (tiles.length === 0) return wallNs;
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const { startNs, endNs } of tiles) {
    first = Math.min(first, startNs);
    last = Math.max(last, endNs);
  }
  return first + wallNs - last;
}

/** The medians over all these runs on several workers; a hand-over counts as 0 where no worker waited for another. */
export function teamCosts(profiles: readonly ProgramProfile[]): Pick<ReplayCosts, 'handOverNs' | 'claimNs'> {
  const handOvers: number[] = [];
  const claims: number[] = [];
  for (const profile of profiles) {
    const ends = completionsOf(profile);
    for (const spans of bySeat(profile.tiles).values()) {
      for (let i = 1; i < spans.length; i++) {
        const [before, span] = [spans[i - 1] as TileSpan, spans[i] as TileSpan];
        if (before.step === span.step) claims.push(span.startNs - before.endNs);
        const after = profile.steps[span.step]?.after ?? 0;
        const openedNs = after === 0 ? 0 : (ends[after - 1] as number);
        // It had waited: its own last tile had ended before the one that completed what this step waits for.
        if (before.step !== span.step && before.endNs < openedNs) handOvers.push(span.startNs - openedNs);
      }
    }
  }
  const medianOr0 = (values: readonly number[]) => (values.length === 0 ? 0 : Math.max(0, median(values)));
  return { handOverNs: medianOr0(handOvers), claimNs: medianOr0(claims) };
}

/** When the steps up to each one were all complete. */
function completionsOf({ steps, tiles }: ProgramProfile): number[] {
  const ends = steps.map(() => 0);
  for (const { step, endNs } of tiles) ends[step] = Math.max(ends[step] as number, endNs);
  for (let step = 1; step < ends.length; step++) ends[step] = Math.max(ends[step] as number, ends[step - 1] as number);
  return ends;
}

function bySeat(tiles: readonly TileSpan[]): Map<number, TileSpan[]> {
  const seats = new Map<number, TileSpan[]>();
  for (const span of tiles) {
    const spans = seats.get(span.seat);
    if (spans === undefined) seats.set(span.seat, [span]);
    else spans.push(span);
  }
  for (const spans of seats.values()) spans.sort((a, b) => a.startNs - b.startNs);
  return seats;
}
