// The state machine of a request, driven with a small tokenizer and logits made by hand, without a model: every ending,
// the text of each piece, and what the result reports.
import { beforeAll, describe, expect, test } from 'vitest';
import { ConstraintCompiler } from '../../src/constraint/constraint-compiler.js';
import type { Format } from '../../src/constraint/format.js';
import { type GenerateOptions, settingsOf } from '../../src/generation/generate-options.js';
import type { Piece } from '../../src/generation/generation-result.js';
import { GenerationRequest } from '../../src/generation/request.js';
import type { MetadataValue } from '../../src/metadata/value-types.js';
import { createTokenizer } from '../../src/tokenizer/create-tokenizer.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { expectAbort, expectRejection } from '../support/rejections.js';
import { RequestChooser } from '../support/sampling/request-chooser.js';
import { smallTokenizer } from '../support/tokenizers/small-tokenizer.js';
import { tokenizerMetadata } from '../support/tokenizers/tokenizer-metadata.js';

const choosers = new WeakMap<GenerationRequest, RequestChooser>();
const choose = (request: GenerationRequest, logits: Float32Array) => choosers.get(request)?.choose(logits);

/** Tokens 0 to 255 are the bytes; these follow. */
const TO = 256;
const P_BANG = 257;
const AB = 258;
const END = 259;
const OTHER_END = 260;
const vocabulary = 261;
const timings = { loadMs: 5, prefillMs: 10, decodeMs: 100, timeToFirstTokenMs: 12 };

let tokenizer: Tokenizer;

beforeAll(async () => {
  const ends = ['<|im_end|>', '<|endoftext|>'].map((text) => ({ text, type: 3 }));
  tokenizer = await smallTokenizer(['t o', 'p !', 'a b'], ends);
  expect([TO, P_BANG, AB].map((id) => tokenizer.tokenText(id))).toEqual(['to', 'p!', 'ab']);
  expect([...tokenizer.endIds].sort()).toEqual([END, OTHER_END]);
});

/** The tokens of the bytes of a text. */
const bytes = (text: string): number[] => [...Buffer.from(text)];

interface Given {
  readonly promptIds?: readonly number[];
  readonly capacity?: number;
  readonly format?: Format;
}

async function newRequest(options: GenerateOptions = {}, { promptIds = [1], capacity = 1000, format }: Given = {}) {
  const settings = settingsOf({ ...options, format }, 'generate', vocabulary);
  const compiler = new ConstraintCompiler(tokenizer, vocabulary, 10_000);
  const constraint = format === undefined ? undefined : await compiler.compile(format, undefined);
  const request = new GenerationRequest({ tokenizer, promptIds, settings, constraint, capacity });
  choosers.set(request, new RequestChooser(request, settings.sampling.settings, vocabulary, tokenizer));
  return request;
}

/** The highest logit for the first of the ids, a lower one for the next, and so on; the lowest for all others. */
function logitsFor(...ids: readonly number[]): Float32Array {
  const logits = new Float32Array(vocabulary);
  ids.forEach((id, rank) => {
    logits[id] = ids.length - rank;
  });
  return logits;
}

/** Takes one step with each of the logits, of which none may come after the ending. */
async function drive(request: GenerationRequest, steps: readonly Float32Array[]) {
  const pieces: Piece[] = [];
  for (const [at, logits] of steps.entries()) {
    expect(request.ending, `before step ${at}`).toBeUndefined();
    await request.prepare();
    choose(request, logits);
    const piece = acceptPiece(request);
    if (piece !== undefined) pieces.push(piece);
  }
  const result = request.result(timings);
  expect(pieces.map(({ text }) => text).join('')).toBe(result.text);
  expect(result.stopReason).toBe(request.ending);
  return { ...result, pieces, texts: pieces.map(({ text }) => text) };
}

/** As a driver does: the text of a token is made after it was accepted. */
function acceptPiece(request: GenerationRequest): Piece | undefined {
  request.accept();
  return request.piece();
}

/** Makes a request choose the given tokens. */
async function generate(ids: readonly number[], options: GenerateOptions = {}, given: Given = {}) {
  return drive(
    await newRequest(options, given),
    ids.map((id) => logitsFor(id)),
  );
}

describe('an end token', () => {
  test.each([END, OTHER_END])('ends the text, and is none of its tokens: %i', async (end) => {
    const { tokens, texts, stopReason, stopSequence } = await generate([...bytes('hé'), end]);
    expect(tokens).toEqual(bytes('hé'));
    expect(texts).toEqual(['h', '', 'é']);
    expect({ stopReason, stopSequence }).toEqual({ stopReason: 'eos', stopSequence: undefined });
  });

  test('may come first', async () => {
    const { tokens, text, pieces, stopReason } = await generate([END]);
    expect({ tokens, text, pieces, stopReason }).toEqual({ tokens: [], text: '', pieces: [], stopReason: 'eos' });
  });

  test('within a character gives one more piece, with the replacement character', async () => {
    const { tokens, pieces, stopReason } = await generate([0x61, 0xc3, END]);
    expect(tokens).toEqual([0x61, 0xc3]);
    expect(pieces).toEqual([
      { id: 0x61, text: 'a' },
      { id: 0xc3, text: '' },
      { id: END, text: '\ufffd' },
    ]);
    expect(stopReason).toBe('eos');
  });

  test('releases the beginning of a stop sequence that was held back', async () => {
    const result = await generate([...bytes('a st'), END], { stop: ['stop', 'strong'] });
    expect(result.pieces.slice(-3)).toEqual([
      { id: 's'.charCodeAt(0), text: '' },
      { id: 't'.charCodeAt(0), text: '' },
      { id: END, text: 'st' },
    ]);
    expect(result.text).toBe('a st');
    expect(result.stopReason).toBe('eos');
    expect(result).not.toHaveProperty('stopSequence');
  });

  test('releases an incomplete character together with what precedes it', async () => {
    const { pieces, text } = await generate([...bytes('st'), 0xc3, END], { stop: ['sté'] });
    expect(pieces.at(-1)).toEqual({ id: END, text: 'st\ufffd' });
    expect(text).toBe('st\ufffd');
  });

  test('may complete a stop sequence, by the replacement character', async () => {
    const { pieces, text, stopReason, stopSequence } = await generate([...bytes('ab'), 0xc3, END], {
      stop: ['b\ufffd'],
    });
    expect(pieces.map((piece) => piece.text)).toEqual(['a', '', '']);
    expect({ text, stopReason, stopSequence }).toEqual({ text: 'a', stopReason: 'stop', stopSequence: 'b\ufffd' });
  });

  test('is a token like others with ignoreEos, without text, and does not release what is held back', async () => {
    const ids = [...bytes('s'), END, ...bytes('tx'), END, ...bytes('st'), END, ...bytes('op')];
    const { tokens, texts, text, stopReason, stopSequence } = await generate(ids, { ignoreEos: true, stop: ['stop'] });
    expect(tokens).toEqual(ids);
    expect(texts).toEqual(['', '', '', 'stx', '', '', '', '', '', '']);
    expect({ text, stopReason, stopSequence }).toEqual({ text: 'stx', stopReason: 'stop', stopSequence: 'stop' });
  });

  test('is chosen when a bias forces it', async () => {
    const request = await newRequest({ logitBias: { [END]: 10 }, stop: ['x'] });
    const { tokens, stopReason } = await drive(request, [logitsFor(0x61)]);
    expect({ tokens, stopReason }).toEqual({ tokens: [], stopReason: 'eos' });
  });
});

describe('a stop sequence', () => {
  test('is found across tokens; its tokens are reported, its text is not', async () => {
    const ids = [...bytes('as'), TO, P_BANG];
    const { tokens, texts, text, stopReason, stopSequence } = await generate(ids, { stop: ['stop'] });
    expect(tokens).toEqual(ids);
    expect(texts).toEqual(['a', '', '', '']);
    expect({ text, stopReason, stopSequence }).toEqual({ text: 'a', stopReason: 'stop', stopSequence: 'stop' });
  });

  test('is found within a token, of which what precedes it is text', async () => {
    const { text, stopSequence } = await generate([0x61, TO], { stop: ['o', 'zzz'] });
    expect({ text, stopSequence }).toEqual({ text: 'at', stopSequence: 'o' });
  });

  test('is found across the bytes of a character', async () => {
    const { texts, stopSequence } = await generate(bytes('x→é'), { stop: ['→é'] });
    expect(texts).toEqual(['x', '', '', '', '', '']);
    expect(stopSequence).toBe('→é');
  });

  test('is the reason also at the last token that is allowed', async () => {
    const limited = await generate(bytes('go'), { stop: ['o'], maxTokens: 2 });
    const full = await generate(bytes('go'), { stop: ['o'] }, { capacity: 2 });
    for (const { text, stopReason, stopSequence } of [limited, full]) {
      expect({ text, stopReason, stopSequence }).toEqual({ text: 'g', stopReason: 'stop', stopSequence: 'o' });
    }
  });

  test('that does not come is released as soon as that is certain', async () => {
    const { texts, text } = await generate([...bytes('stosto'), END], { stop: ['stop'] });
    expect(texts).toEqual(['', '', '', 'sto', '', '', 'sto']);
    expect(text).toBe('stosto');
  });
});

describe('maxTokens', () => {
  test('ends the text after so many tokens, and releases what was held back', async () => {
    const { tokens, texts, stopReason } = await generate(bytes('ast'), { maxTokens: 3, stop: ['stop'] });
    expect(tokens).toEqual(bytes('ast'));
    expect(texts).toEqual(['a', '', 'st']);
    expect(stopReason).toBe('maxTokens');
  });

  test('within a character gives the replacement character', async () => {
    const { texts, stopReason } = await generate([0x61, 0xe2, 0x82], { maxTokens: 3 });
    expect(texts).toEqual(['a', '', '\ufffd']);
    expect(stopReason).toBe('maxTokens');
  });

  test('does not count an end token', async () => {
    expect((await generate([0x61, END], { maxTokens: 2 })).stopReason).toBe('eos');
  });

  test('of 0 is an ending from the start', async () => {
    const request = await newRequest({ maxTokens: 0, logprobs: 1 }, { format: { regex: 'a?' } });
    expect(request.ending).toBe('maxTokens');
    expect(await drive(request, [])).toMatchObject({
      text: '',
      tokens: [],
      promptTokens: 1,
      stopReason: 'maxTokens',
      formatComplete: true,
      logprobs: [],
      tokensPerSecond: { decode: null },
    });
  });

  test('is 128 unless it is given', async () => {
    const { tokens, stopReason } = await generate(new Array<number>(128).fill(0x61));
    expect({ count: tokens.length, stopReason }).toEqual({ count: 128, stopReason: 'maxTokens' });
  });
});

describe('the context', () => {
  test.each([
    [5, 3, 3],
    [5, 5, 1],
  ])('of %i positions, after a prompt of %i, has room to compute the logits of %i tokens', async (...sizes) => {
    const [capacity, promptTokens, count] = sizes;
    const promptIds = new Array<number>(promptTokens).fill(1);
    const ids = new Array<number>(count).fill(0x61);
    const result = await generate(ids, { stop: ['ab'] }, { promptIds, capacity });
    expect(result).toMatchObject({ tokens: ids, promptTokens, text: 'a'.repeat(count), stopReason: 'context' });
  });

  test('is not the reason where maxTokens is reached at the same token', async () => {
    const { stopReason } = await generate(bytes('aa'), { maxTokens: 2 }, { promptIds: [1], capacity: 2 });
    expect(stopReason).toBe('maxTokens');
  });
});

test('a text may end at each token where there are stop sequences, and only there', async () => {
  expect((await newRequest({ stop: ['a'] })).endsByText).toBe(true);
  expect((await newRequest()).endsByText).toBe(false);
});

describe('log probabilities', () => {
  test("are those of the model's own distribution, one for each token and none for an end token", async () => {
    // The bias makes `b` the first choice, but is not in its probability.
    const request = await newRequest({ logprobs: 2, logitBias: { 98: 1.5 } });
    const sure = (id: number) => logitsFor(id).map((logit) => 9 * logit);
    const steps = [logitsFor(0x61, 0x62, 0x63), sure(0xc3), sure(END)];
    const { tokens, logprobs, pieces } = await drive(request, steps);
    expect(tokens).toEqual([0x62, 0xc3]);
    expect(logprobs).toHaveLength(2);
    const total = Math.exp(3) + Math.exp(2) + Math.exp(1) + (vocabulary - 3);
    expect(logprobs?.[0]?.logprob).toBeCloseTo(2 - Math.log(total), 12);
    expect(logprobs?.[0]?.top.map(({ id, text }) => [id, text])).toEqual([
      [0x61, 'a'],
      [0x62, 'b'],
    ]);
    expect(pieces.map((piece) => [piece.id, piece.logprobs])).toEqual([
      [0x62, logprobs?.[0]],
      [0xc3, logprobs?.[1]],
      [END, undefined],
    ]);
  });

  test('are left out unless they are asked for', async () => {
    const result = await generate([0x61, END]);
    expect(result).not.toHaveProperty('logprobs');
    expect(result.pieces[0]).not.toHaveProperty('logprobs');
    expect((await generate([0x61, END], { logprobs: 0 })).logprobs).toMatchObject([{ top: [] }]);
  });
});

/** Types of byte tokens, of which `a` is a control token. */
const controlA = Int32Array.from({ length: 256 }, (_, id) => (id === 0x61 ? 3 : 1));

describe('a constraint', () => {
  test('allows only tokens after which the text can still match, and an end token only where it does', async () => {
    const request = await newRequest({}, { format: { regex: 'abb*' } });
    // Each time END has the highest logit, then a token that is not allowed.
    const { tokens, stopReason, formatComplete } = await drive(request, [
      logitsFor(END, 0x62, AB, 0x61),
      logitsFor(0x61, TO, 0x62),
      logitsFor(END, 0x61),
    ]);
    expect(tokens).toEqual([AB, 0x62]);
    expect({ stopReason, formatComplete }).toEqual({ stopReason: 'eos', formatComplete: true });
  });

  test('ends the text where nothing may follow, without an end token', async () => {
    const { tokens, text, stopReason, formatComplete } = await generate(bytes('ab'), {}, { format: { regex: 'ab' } });
    expect({ tokens, text }).toEqual({ tokens: bytes('ab'), text: 'ab' });
    expect({ stopReason, formatComplete }).toEqual({ stopReason: 'eos', formatComplete: true });
  });

  test('that nothing may follow is the reason also at the last token that is allowed', async () => {
    const limits = [[{ maxTokens: 2 }, {}] as const, [{}, { capacity: 2 }] as const];
    for (const [options, given] of limits) {
      const { stopReason } = await generate(bytes('ab'), options, { ...given, format: { regex: 'ab' } });
      expect(stopReason).toBe('eos');
    }
  });

  test.each([
    ['maxTokens', { maxTokens: 2 }, {}],
    ['context', {}, { capacity: 2 }],
  ] as const)('reports whether the text matches where %s cuts it off', async (stopReason, options, given) => {
    const cut = await generate(bytes('ab'), options, { ...given, format: { regex: 'abc' } });
    expect(cut).toMatchObject({ text: 'ab', stopReason, formatComplete: false });
    const whole = await generate(bytes('ab'), options, { ...given, format: { regex: 'ab+' } });
    expect(whole).toMatchObject({ text: 'ab', stopReason, formatComplete: true });
  });

  test('counts before the most likely token', async () => {
    const request = await newRequest({}, { format: { regex: 'ab' } });
    await request.prepare();
    choose(request, logitsFor(0x62, 0x61));
    expect(request.chosen).toBe(0x61);
  });

  test('is not reported where there is none', async () => {
    expect(await generate([END])).not.toHaveProperty('formatComplete');
  });

  test.each<[what: string, overrides: Record<string, MetadataValue>]>([
    ['a control token', { 'tokenizer.ggml.token_type': { type: 'array', element: 'i32', value: controlA } }],
    ['an end token', { 'tokenizer.ggml.eos_token_id': { type: 'u32', value: 0x61 } }],
  ])('fails where no token can go on: %s is no text', async (_what, overrides) => {
    const withoutA = await smallTokenizer([], [], overrides);
    const constraint = await new ConstraintCompiler(withoutA, 256, 10_000).compile({ regex: 'a' }, undefined);
    const settings = settingsOf({}, 'generate', 256);
    const request = new GenerationRequest({ tokenizer: withoutA, promptIds: [1], settings, constraint, capacity: 9 });
    await expectRejection(request.prepare(), 'ERR_FORMAT', /no token/);
  });

  test('is not followed further once the signal has fired', async () => {
    const reason = new Error('enough');
    const aborted = await newRequest({ signal: AbortSignal.abort(reason) }, { format: { regex: 'a' } });
    await expectAbort(aborted.prepare(), reason);
  });
});

test('the text continues the prompt: the space of its first token is kept', async () => {
  const tokens = ['<unk>', '<s>', '</s>', '▁a'].map((text, id) => ({ text, type: id < 3 ? 3 : 1 }));
  const spaced = await createTokenizer(tokenizerMetadata('llama', tokens));
  expect(spaced.decode([3])).toBe('a');
  const settings = settingsOf({ maxTokens: 1 }, 'generate', 4);
  const given = { tokenizer: spaced, promptIds: [3], settings, constraint: undefined, capacity: 9 };
  const request = new GenerationRequest(given);
  request.choose(3);
  expect(acceptPiece(request)).toEqual({ id: 3, text: ' a' });
});

describe('sampling', () => {
  test('takes the token that was chosen', async () => {
    const request = await newRequest();
    request.choose(0x61);
    expect(request.chosen).toBe(0x61);
    expect(acceptPiece(request)).toEqual({ id: 0x61, text: 'a' });
  });

  test('sees the tokens of the prompt and those that it chose', async () => {
    const request = await newRequest({ presencePenalty: 2.5 }, { promptIds: bytes('a') });
    const logits = logitsFor(0x61, 0x62, 0x63);
    const { tokens } = await drive(request, [logits, logits, logits]);
    // a is penalized from the start, b once it was chosen, c then as well.
    expect(tokens.slice(0, 2)).toEqual(bytes('bc'));
  });

  test('with the seed that the result reports gives the same tokens again', async () => {
    const steps = Array.from({ length: 20 }, () => logitsFor(0x61, 0x62, 0x63));
    const first = await drive(await newRequest({ temperature: 5, ignoreEos: true }), steps);
    const again = await drive(await newRequest({ temperature: 5, ignoreEos: true, seed: first.seed }), steps);
    expect(again.tokens).toEqual(first.tokens);
    expect(new Set(first.tokens).size).toBeGreaterThan(1);
  });
});

test('a result reports timings, and speeds computed from them', async () => {
  const { timings: reported, tokensPerSecond } = await generate([...bytes('abc'), END], {}, { promptIds: [1, 2, 3] });
  expect(reported).toEqual(timings);
  expect(tokensPerSecond).toEqual({ prefill: 300, decode: 20 });
  expect((await generate([0x61, END])).tokensPerSecond.decode).toBeNull();
});
