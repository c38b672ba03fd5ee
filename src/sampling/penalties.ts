// Changes logits before a token is chosen: by the caller's bias, and by penalties for the tokens seen last. Called by the
// sampler, which owns one for each generation.
import { TesseraeError } from '../base/errors.js';

/** Added to the logits of tokens, by id. */
export type LogitBias = ReadonlyMap<number, number> | Readonly<Record<number, number>>;

export interface PenaltyOptions {
  /** Above 1 makes tokens of the window less likely: positive logits are divided by it, others multiplied. Default 1. */
  readonly repetitionPenalty?: number | undefined;
  /** How many of the last tokens, of prompt and text, the three penalties look at; 64 by default. */
  readonly repetitionWindow?: number | undefined;
  /** Taken off the logits of tokens that are in the window; 0 by default. */
  readonly presencePenalty?: number | undefined;
  /** Taken off the logits of tokens for each time that they are in the window; 0 by default. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of the tokens with these ids; -Infinity bans a token. */
  readonly logitBias?: LogitBias | undefined;
}

const defaultWindow = 64;
/** Keeps sums of logits, biases and penalties far from the largest float. */
const MOST = 1000;

export class Penalties {
  /** Whether logits change at all. */
  readonly active: boolean;
  readonly #repetition: number;
  readonly #presence: number;
  readonly #frequency: number;
  readonly #biased: Int32Array;
  readonly #biases: Float64Array;
  readonly #window: number;
  readonly #usesWindow: boolean;
  /** The last tokens, as a ring once it is full. */
  #recent = new Int32Array(0);
  #seen = 0;
  /** How often each token is in the window, by id; and the ids that a call has been at. */
  #counts = new Int32Array(0);

  /** @throws TesseraeError ERR_ARGUMENT for an option out of its range */
  constructor(options: PenaltyOptions, vocabulary: number) {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, logitBias } = options;
    const { repetitionWindow = defaultWindow } = options;
    checkOption(
      'repetitionPenalty',
      repetitionPenalty,
      repetitionPenalty > 0 && repetitionPenalty <= MOST,
      `a number above 0, up to ${MOST}`,
    );
    for (const [name, value] of Object.entries({ presencePenalty, frequencyPenalty })) {
      checkOption(name, value, Math.abs(value) <= MOST, `a number from -${MOST} to ${MOST}`);
    }
    const isWindow = Number.isSafeInteger(repetitionWindow) && repetitionWindow > 0;
    checkOption('repetitionWindow', repetitionWindow, isWindow, 'an integer of at least 1');
    const biases = readBias(logitBias, vocabulary);
    this.#repetition = repetitionPenalty;
    this.#presence = presencePenalty;
    this.#frequency = frequencyPenalty;
    this.#window = repetitionWindow;
    this.#usesWindow = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#biased = Int32Array.from(biases, ([id]) => id);
    this.#biases = Float64Array.from(biases, ([, bias]) => bias);
    this.active = this.#usesWindow || biases.length > 0;
  }

  /** Takes note of a token of the prompt or of the text. */
  accept(id: number): void {
    if (!this.#usesWindow) return;
    if (this.#seen >= this.#recent.length && this.#recent.length < this.#window) this.#grow();
    if (id >= this.#counts.length) this.#growCounts(id + 1);
    const counts = this.#counts;
    const at = this.#seen % this.#recent.length;
    if (this.#seen >= this.#window) counts[this.#recent[at] as number]! -= 1;
    this.#recent[at] = id;
    counts[id]! += 1;
    this.#seen += 1;
  }

  /** Changes the logits in place. */
  apply(logits: Float32Array): void {
    for (let i = 0; i < this.#biased.length; i++) {
      const id = this.#biased[i] as number;
      logits[id] = (logits[id] as number) + (this.#biases[i] as number);
    }
    const used = Math.min(this.#seen, this.#window);
    const counts = this.#counts;
    // A token is changed where it is met first; its count is negative from there to the end.
    for (let i = 0; i < used; i++) {
      const id = this.#recent[i] as number;
      const count = counts[id] as number;
      if (count < 0) continue;
      const logit = logits[id] as number;
      const repeated = logit > 0 ? logit / this.#repetition : logit * this.#repetition;
      logits[id] = repeated - count * this.#frequency - this.#presence;
      counts[id] = -count;
    }
    for (let i = 0; i < used; i++) {
      const id = this.#recent[i] as number;
      counts[id] = Math.abs(counts[id] as number);
    }
  }

  #grow(): void {
    const grown = new Int32Array(Math.min(this.#window, Math.max(64, 2 * this.#recent.length)));
    grown.set(this.#recent);
    this.#recent = grown;
  }

  #growCounts(least: number): void {
    const grown = new Int32Array(Math.max(least, 2 * this.#counts.length));
    grown.set(this.#counts);
    this.#counts = grown;
  }
}

function readBias(bias: unknown, vocabulary: number): [number, number][] {
  if (bias === undefined) return [];
  const isRecord = typeof bias === 'object' && bias !== null && !Array.isArray(bias);
  check('logitBias', bias, isRecord, 'a Map or an object from token ids to numbers');
  const entries: [unknown, unknown][] = bias instanceof Map ? [...bias] : Object.entries(bias as object);
  return entries.map(([key, value]) => {
    const id = typeof key === 'string' && /^[0-9]+$/.test(key) ? Number(key) : key;
    const isToken = Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < vocabulary;
    check('a key of logitBias', key, isToken, 'the id of a token');
    const isBias = typeof value === 'number' && (Math.abs(value) <= MOST || value === Number.NEGATIVE_INFINITY);
    check(`logitBias of ${String(id)}`, value, isBias, `a number from -${MOST} to ${MOST}, or -Infinity`);
    return [id as number, value as number];
  });
}

/** Checks a number. @throws TesseraeError ERR_ARGUMENT that names the option */
export function checkOption(name: string, value: unknown, isValid: boolean, expected: string): void {
  check(name, value, isValid && typeof value === 'number', expected);
}

function check(name: string, value: unknown, isValid: boolean, expected: string): void {
  if (isValid) return;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${expected}, got ${String(value)}`);
}
