// Automata of JSON schemas and random texts that they take. Used by the tests of schemas.
import { Automaton, DEAD } from '../../src/constraint/automaton.js';
import { compileJsonSchema } from '../../src/constraint/compile/json-schema.js';
import { Terms } from '../../src/constraint/term.js';

/** A generator of random numbers that begins at a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function automatonOf(schema: unknown): Automaton {
  const terms = new Terms();
  return new Automaton(terms, compileJsonSchema(schema, terms));
}

/** A random text that the automaton takes; undefined when it becomes too long. */
export function randomText(automaton: Automaton, random: () => number, mostBytes = 600): string | undefined {
  const bytes: number[] = [];
  let state = automaton.stateOf(automaton.startTerm);
  while (bytes.length < mostBytes) {
    const { nullable } = automaton.termOf(state);
    const table = automaton.table(state);
    const next: number[] = [];
    for (let byte = 0; byte < 256; byte++) if (table[byte] !== DEAD) next.push(byte);
    if (nullable && (next.length === 0 || random() < 0.5)) return Buffer.from(bytes).toString();
    // Rather what ends a value, so that texts stay short.
    const ending = next.filter((byte) => '"]}'.includes(String.fromCharCode(byte)));
    const from = ending.length > 0 && random() < 0.4 ? ending : next;
    const byte = from[Math.floor(random() * from.length)] as number;
    bytes.push(byte);
    state = table[byte] as number;
  }
  return undefined;
}
