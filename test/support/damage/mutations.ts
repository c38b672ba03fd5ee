// Damages files at random: bits, lengths and ranges of bytes, and values and structure of JSON. A source of random
// numbers decides everything. Used by the fuzzers.
import { randomSource } from '../models/random-weights.js';

/** An integer from 0 to under `below`. */
export type Pick = (below: number) => number;

export function picker(seed: number): Pick {
  const random = randomSource(seed);
  return (below) => Math.min(Math.floor((random() + 1) * 0.5 * below), below - 1);
}

const lengths = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xffff, 0x7fffffff, 0xffffffff];

/** A copy with one to three changes in its first `most` bytes: bits, bytes, length fields, ranges moved, or a cut. */
export function damageBytes(whole: Buffer, most: number, pick: Pick): Buffer {
  const bytes = Buffer.from(whole);
  for (let change = 1 + pick(3); change > 0; change--) {
    const at = pick(most - 16);
    const kind = pick(6);
    if (kind === 0) bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
    if (kind === 1) bytes[at] = pick(256);
    if (kind === 2) bytes.writeUInt32LE(lengths[pick(lengths.length)] as number, at);
    if (kind === 3) bytes.writeBigUInt64LE(BigInt(pick(2 ** 16)) << BigInt(pick(48)), at);
    if (kind === 4) bytes.copyWithin(at, pick(most), most);
    if (kind === 5 && pick(4) === 0) return bytes.subarray(0, pick(bytes.length));
  }
  return bytes;
}

/** A placeholder for arrays nested deeper than a stack allows, which are written as text. */
const deep = '@deep@';
const depth = 50_000;
const oddValues: readonly ((pick: Pick) => unknown)[] = [
  () => null,
  () => true,
  () => '',
  () => [],
  () => ({}),
  () => -1,
  () => 0.5,
  (pick) => pick(2 ** 31) * 2 ** pick(22),
  () => Number.MAX_SAFE_INTEGER,
  () => 1e308,
  () => [0, 0],
  () => [Number.MAX_SAFE_INTEGER, 0],
  () => 'line\nbreak \ud800 \u0000',
  (pick) => 'long '.repeat(pick(2000)),
  (pick) => String.fromCodePoint(pick(0x110000)),
  () => deep,
  () => JSON.parse(`${'{"type":"Sequence","normalizers":['.repeat(100)}${']}'.repeat(100)}`),
];

interface Place {
  readonly holder: Record<string, unknown> | unknown[];
  readonly key: string | number;
}

/**
 * A random place in a document, found by steps down from the root, so that large lists do not get most of the picks.
 */
function pickPlace(root: object, pick: Pick): Place | undefined {
  let place: Place | undefined;
  let value: unknown = root;
  while (typeof value === 'object' && value !== null && (place === undefined || pick(4) > 0)) {
    const keys = Object.keys(value);
    if (keys.length === 0) break;
    const key = keys[pick(keys.length)] as string;
    place = { holder: value as Record<string, unknown>, key };
    value = (value as Record<string, unknown>)[key];
  }
  return place;
}

/** Changes one to three values of a JSON document: replaces, moves or removes them, or renames their keys. */
export function damageJson(text: string, pick: Pick): string {
  const root: object = JSON.parse(text);
  changeValues(root, pick);
  return JSON.stringify(root).replaceAll(`"${deep}"`, () => '['.repeat(depth) + ']'.repeat(depth));
}

function changeValues(root: object, pick: Pick): void {
  for (let change = 1 + pick(3); change > 0; change--) {
    const place = pickPlace(root, pick);
    if (place === undefined) return;
    const holder = place.holder as Record<string | number, unknown>;
    const kind = pick(5);
    if (kind <= 1) holder[place.key] = (oddValues[pick(oddValues.length)] as (pick: Pick) => unknown)(pick);
    if (kind === 2) {
      if (Array.isArray(place.holder)) place.holder.splice(Number(place.key), 1);
      else delete holder[place.key];
    }
    if (kind === 3) {
      const other = pickPlace(root, pick);
      if (other === undefined) continue;
      const value = (other.holder as Record<string | number, unknown>)[other.key];
      // A copy, so that no document contains itself.
      holder[place.key] = value === undefined ? null : structuredClone(value);
    }
    if (kind === 4) {
      const value = holder[place.key];
      if (typeof value === 'number') holder[place.key] = value + pick(9) - 4;
      else if (typeof value === 'string') holder[place.key] = value.slice(pick(value.length + 1));
      else holder[`${place.key}x`] = value;
    }
  }
}
