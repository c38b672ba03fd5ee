// The options by which a token is chosen from logits, and their check. Chooses nothing: see the kernel
// `sample`. Called by generation/generate-options.ts
// and sampling-state.ts.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { MAX_SEED } from './random.js';

/** Added to the logits of tokens, by id. */
export type LogitBias = ReadonlyMap<number, number> | Readonly<Record<number, number>>;

export interface PenaltyOptions {
  /**
   * Above 1, tokens in the window become less likely: positive logits are divided by it, others multiplied. Default 1.
   */
  readonly repetitionPenalty?: number | undefined;
  /**
   * The window of the three penalties: how many of the last tokens, of prompt and text, they consider; 64 by default.
   */
  readonly repetitionWindow?: number | undefined;
  /** Subtracted from the logits of tokens in the window; 0 by default. */
  readonly presencePenalty?: number | undefined;
  /** Subtracted from the logit of a token for each time that it is in the window; 0 by default. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of the tokens with these ids; -Infinity bans a token. */
  readonly logitBias?: LogitBias | undefined;
}

export interface SamplingOptions extends PenaltyOptions {
  /** 0, the default, always chooses the most likely token: topK, typicalP, topP, minP and seed then have no effect. */
  readonly temperature?: number | undefined;
  /** Choose among this many most likely tokens. 0, the default: all. */
  readonly topK?: number | undefined;
  /**
   * Choose among the tokens whose surprise, -log p, is nearest to the expected surprise: the fewest whose probabilities
   * sum up to at least this (locally typical sampling: Meister et al. 2023). 1, the default: all.
   */
  readonly typicalP?: number | undefined;
  /** Choose among the fewest most likely tokens whose probabilities sum up to at least this. 1, the default: all. */
  readonly topP?: number | undefined;
  /** Choose among the tokens that are at least this times as likely as the most likely one. 0, the default: all. */
  readonly minP?: number | undefined;
  /** An integer from 0 to 2^53 - 1. The same seed and logits give the same tokens on every machine. Default: random. */
  readonly seed?: number | undefined;
}

export const samplingKeys = [
  'temperature',
  'topK',
  'typicalP',
  'topP',
  'minP',
  'repetitionPenalty',
  'repetitionWindow',
  'presencePenalty',
  'frequencyPenalty',
  'logitBias',
  'seed',
] as const satisfies readonly (keyof SamplingOptions)[];

/** The checked options of the penalties, with defaults. */
export interface PenaltySettings {
  readonly repetitionPenalty: number;
  readonly repetitionWindow: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Ids and the bias added to their logits. Several biases of one id are added in this order. */
  readonly biases: readonly (readonly [id: number, bias: number])[];
}

/** All checked options, with defaults. */
export interface SamplingSettings extends PenaltySettings {
  readonly temperature: number;
  readonly topK: number;
  readonly typicalP: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
}

const defaultWindow = 64;
/** Limit of biases and penalties, which keeps their sums with logits far below the largest float. */
const MOST = 1000;

/**
 * @param vocabulary the number of logits: ids in logitBias are smaller
 * @throws TesseraeError ERR_ARGUMENT for an option out of range
 */
export function checkSampling(options: SamplingOptions, vocabulary: number): SamplingSettings {
  const { temperature = 0, topK = 0, typicalP = 1, topP = 1, minP = 0, seed = randomSeed() } = options;
  checkOption('temperature', temperature, Number.isFinite(temperature) && temperature >= 0, 'a number of at least 0');
  checkOption('topK', topK, Number.isSafeInteger(topK) && topK >= 0, 'an integer of at least 0');
  checkOption('typicalP', typicalP, typicalP > 0 && typicalP <= 1, 'a number above 0, up to 1');
  checkOption('topP', topP, topP > 0 && topP <= 1, 'a number above 0, up to 1');
  checkOption('minP', minP, minP >= 0 && minP <= 1, 'a number from 0 to 1');
  checkOption('seed', seed, Number.isSafeInteger(seed) && seed >= 0, `an integer from 0 to ${MAX_SEED}`);
  return { temperature, topK, typicalP, topP, minP, seed, ...checkPenalties(options, vocabulary) };
}

/** @throws TesseraeError ERR_ARGUMENT for an option out of its range */
export function checkPenalties(options: PenaltyOptions, vocabulary: number): PenaltySettings {
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
  return { repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty, biases };
}

/** Whether any penalty uses the window. */
export function usesWindow(settings: PenaltySettings): boolean {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = settings;
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
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
    check(`logitBias of ${describe(id)}`, value, isBias, `a number from -${MOST} to ${MOST}, or -Infinity`);
    return [id as number, value as number];
  });
}

/** Checks an option that must be a number. @throws TesseraeError ERR_ARGUMENT that names the option */
function checkOption(name: string, value: unknown, isValid: boolean, expected: string): void {
  check(name, value, isValid && typeof value === 'number', expected);
}

function check(name: string, value: unknown, isValid: boolean, expected: string): void {
  if (isValid) return;
  throw new TesseraeError('ERR_ARGUMENT', `${name} must be ${expected}, got ${describe(value)}`);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
