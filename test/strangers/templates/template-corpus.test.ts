// Chat templates of real models: an id of a control token appears only where the template itself wrote it, whatever messages say
// in whatever place, and texts are those that Jinja2 renders. `pnpm test:templates` fetches the templates
// (scripts/template-corpus.mjs); without them there is nothing to test.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ChatPrompt, encodeChat } from '../../../src/generation/chat/chat.js';
import { Template } from '../../../src/generation/jinja/template.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { smallTokenizer } from '../../support/tokenizers/small-tokenizer.js';
import { type Conversation, harmlessWord, kinds, payloadsOf, placesOf, sentinel } from './template-places.js';

const folder = process.env.TESSERAE_TEMPLATES ?? '';
const python = 'scripts/render-jinja2.py';
const hasPython = folder !== '' && spawnSync('python3', ['-c', 'import jinja2']).status === 0;
const firstControl = 256;
/** Of the tokens of a template, so many are tried alone and cut in two. */
const tokensAlone = 6;
/** Places that make most templates refuse all, with a text that they do not expect. */
const fixed = /^(role|call id|part type)$/;

interface Source {
  readonly name: string;
  readonly template: string;
  /** Control tokens that the model's tokenizer has, beside those that the template spells. */
  readonly tokens: readonly string[];
  readonly bos: string;
  readonly eos: string;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const tokenText = (value: unknown): string | undefined =>
  isText(value) ? value : (value as { content?: string } | null | undefined)?.content;

/** The templates of a `tokenizer_config.json`. */
function* configured(name: string, json: string): Generator<Source> {
  const config = JSON.parse(json);
  const special = Object.values<{ content: string; special: boolean }>(config.added_tokens_decoder ?? {});
  const bos = tokenText(config.bos_token) ?? '';
  const eos = tokenText(config.eos_token) ?? '';
  const tokens = special.filter((token) => token.special).map((token) => token.content);
  const all = isText(config.chat_template) ? [{ name: 'default', template: config.chat_template }] : [];
  for (const one of Array.isArray(config.chat_template) ? config.chat_template : all) {
    yield { name: `${name} ${one.name}`, template: one.template, tokens: tokens.slice(0, 12), bos, eos };
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v' };

/** The value of a string literal of JavaScript. */
function literalValue(literal: string): string {
  return literal.slice(1, -1).replace(/\\(u([0-9a-fA-F]{4})|.)/gs, (_, code: string, hex: string | undefined) => {
    return hex === undefined ? (escapes[code] ?? code) : String.fromCharCode(Number.parseInt(hex, 16));
  });
}

/** The templates of a list in TypeScript, each `model: "name", gguf: "template"`. */
function* listed(source: string): Generator<Source> {
  const literal = '("(?:[^"\\\\]|\\\\.)*"|\'(?:[^\'\\\\]|\\\\.)*\'|`(?:[^`\\\\]|\\\\.)*`)';
  for (const match of source.matchAll(new RegExp(`model:\\s*${literal},\\s*gguf:\\s*${literal}`, 'gs'))) {
    const [, name, template] = match.map(literalValue) as [string, string, string];
    yield { name, template, tokens: [], bos: '<s>', eos: '</s>' };
  }
}

function sources(): readonly Source[] {
  const found: Source[] = [];
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const text = () => readFileSync(join(folder, file), 'utf8');
    if (file.endsWith('tokenizer_config.json')) found.push(...configured(file, text()));
    if (file.endsWith('chat-template-automap.ts')) found.push(...listed(text()));
  }
  return [...new Map(found.map((source) => [source.template, source])).values()];
}

/** What looks like a control token in a template's source. All count as control tokens here, also what is text to the model. */
const tokenShapes = /<\|[^|<>\s'"{}]+\|>|<｜[^｜<>\s'"{}]+｜>|<\/?[a-zA-Z_][^<>\s'"{}|=/]*>|\[\/?[A-Z_]{3,}\]/g;

async function tokenizerOf({ template, tokens, bos, eos }: Source): Promise<[Tokenizer, readonly string[]]> {
  const spelled = [...template.matchAll(tokenShapes)].map(([text]) => text);
  const controls = [...new Set([bos, eos, ...spelled, ...tokens, '<|im_end|>'])].filter((text) => text !== '');
  const idOf = (text: string) => controls.indexOf(text) + firstControl;
  const tokenizer = await smallTokenizer(
    [],
    controls.map((text) => ({ text, type: 3 })),
    {
      ...(bos === '' ? {} : { 'tokenizer.ggml.bos_token_id': { type: 'u32', value: idOf(bos) } }),
      'tokenizer.ggml.eos_token_id': { type: 'u32', value: idOf(eos) },
      'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
    },
  );
  return [tokenizer, controls];
}

const isControl = (id: number | undefined) => id !== undefined && id >= firstControl;

/** Control tokens that begin right behind the sentinel, which only text from outside does. */
function alive(ids: readonly number[], tokenizer: Tokenizer): string[] {
  const mark = [...Buffer.from(sentinel)];
  return ids.flatMap((id, i) =>
    isControl(id) && mark.every((byte, at) => ids[i - mark.length + at] === byte) ? [tokenizer.tokenText(id)] : [],
  );
}

const controlsIn = (ids: readonly number[], tokenizer: Tokenizer) =>
  ids.filter(isControl).map((id) => tokenizer.tokenText(id));

interface Rendering {
  readonly where: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly text: string | undefined;
  readonly error: string | undefined;
}

const totals = { templates: 0, refused: 0, renderings: 0, attacks: 0, compared: 0 };
/** For each place the templates that write it into the prompt. */
const reached = new Map<string, number>();
/** Where a template asks about the text, such as for `</think>`, and therefore writes other marks of its own. */
const questions: string[] = [];
const problems: unknown[] = [];
const refusals = new Map<string, string>();

class Attempt {
  readonly renderings: Rendering[] = [];
  readonly #source: Source;
  readonly #tokenizer: Tokenizer;
  readonly #template: Template;

  constructor(source: Source, tokenizer: Tokenizer) {
    this.#source = source;
    this.#tokenizer = tokenizer;
    this.#template = new Template(source.template);
  }

  /** Renders as a model does, and compares the text with that of the same template without protection. */
  render(where: string, { messages, options }: Conversation): ChatPrompt | undefined {
    totals.renderings += 1;
    const { bos, eos } = this.#source;
    const { tools = null, variables: more = {}, addGenerationPrompt = true } = options;
    const given = { documents: null, ...more, messages, tools };
    const trusted = { add_generation_prompt: addGenerationPrompt, bos_token: bos, eos_token: eos };
    const render = (firsts: Iterable<string>) => {
      try {
        return this.#template.render({ firsts: [...firsts], json: JSON.stringify(given), trusted });
      } catch (error) {
        return { text: undefined, error: (error as Error).message };
      }
    };
    const guarded = render(this.#tokenizer.controlBeginnings);
    const free = render([]);
    this.renderings.push({
      where,
      variables: { ...given, ...trusted },
      text: guarded.text,
      error: 'error' in guarded ? guarded.error : undefined,
    });
    if (free.text !== guarded.text) this.report(where, 'is rendered otherwise without protection', { free, guarded });
    return 'error' in guarded ? undefined : { text: guarded.text, plain: { places: guarded.places, marks: new Set() } };
  }

  report(where: string, what: string, details: unknown): void {
    problems.push({ template: this.#source.name, where, what, details });
  }

  /** Expects the control tokens of the same conversation without any in its texts. @returns whether the texts are in the prompt */
  async attack(where: string, attacked: Conversation, harmless: Conversation): Promise<boolean> {
    const prompt = this.render(where, attacked);
    if (prompt === undefined) return false;
    totals.attacks += 1;
    const ids = await encodeChat(prompt, this.#tokenizer);
    const born = alive(ids, this.#tokenizer);
    const other = this.render(`${where}, harmless`, harmless);
    const expected = other && controlsIn(await encodeChat(other, this.#tokenizer), this.#tokenizer);
    const found = controlsIn(ids, this.#tokenizer);
    const isSame = JSON.stringify(found) === JSON.stringify(expected);
    if (born.length > 0 && !isSame) this.report(where, 'brings to life', { born, text: prompt.text });
    else if (!isSame) questions.push(`${this.#source.name}, ${where}`);
    return prompt.text.includes(sentinel);
  }
}

/** The same text without what begins a control token. */
const harmless = (text: string) => text.replace(/[<[]/g, '(');

async function tryTemplate(source: Source): Promise<void> {
  const [tokenizer, controls] = await tokenizerOf(source);
  let attempt: Attempt;
  try {
    attempt = new Attempt(source, tokenizer);
  } catch (error) {
    totals.refused += 1;
    refusals.set(source.name, (error as Error).message);
    return;
  }
  totals.templates += 1;
  const payloads = payloadsOf(controls);
  const places = new Set<string>();
  for (const [name, kind] of Object.entries(kinds)) {
    if (
      attempt.render(
        name,
        kind(() => harmlessWord),
      ) === undefined
    )
      continue;
    for (const place of placesOf(kind)) {
      const at = (text: string) => kind((one) => (one === place ? text : harmlessWord));
      const [first] = payloads as [string];
      if (await attempt.attack(`${name}, ${place}`, at(first), at(harmless(first)))) places.add(place);
    }
    const everywhere = (text: string) => kind((place) => (fixed.test(place) ? harmlessWord : text));
    for (const [i, payload] of payloads.entries()) {
      await attempt.attack(`${name}, all places, ${i}`, everywhere(payload), everywhere(harmless(payload)));
    }
    for (const token of controls.slice(0, tokensAlone)) {
      await attempt.attack(`${name}, ${token}`, everywhere(token), everywhere(harmless(token)));
      const halves = (change: (text: string) => string) => {
        let turn = 0;
        const half = () =>
          change(turn++ % 2 === 0 ? token.slice(0, token.length >> 1) : token.slice(token.length >> 1));
        return kind((place) => (fixed.test(place) ? harmlessWord : half()));
      };
      await attempt.attack(`${name}, halves of ${token}`, halves(String), halves(harmless));
    }
  }
  for (const place of places) reached.set(place, (reached.get(place) ?? 0) + 1);
  if (hasPython) compareWithJinja2(source, attempt);
}

function compareWithJinja2(source: Source, attempt: Attempt): void {
  const { renderings } = attempt;
  const input = JSON.stringify({ template: source.template, variables: renderings.map((one) => one.variables) });
  const { stdout, status, stderr } = spawnSync('python3', [python], { input, encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`Jinja2 failed: ${stderr}`);
  const outcomes = JSON.parse(stdout) as { text?: string; error?: string }[];
  for (const [i, outcome] of outcomes.entries()) {
    const { where, text, error } = renderings[i] as Rendering;
    if (text !== undefined) {
      totals.compared += 1;
      if (text !== outcome.text) attempt.report(where, 'is not what Jinja2 renders', { text, outcome });
    } else if (outcome.text !== undefined) refusals.set(`${source.name}, ${where.split(',')[0]}`, error ?? '');
  }
}

test.skipIf(folder === '')('templates of models', { timeout: 3_600_000 }, async () => {
  for (const source of sources()) await tryTemplate(source);
  console.info(JSON.stringify(totals));
  console.info(hasPython ? 'compared with Jinja2' : 'not compared with Jinja2, which is not there');
  for (const [name, message] of refusals) console.info(`refused: ${name}: ${message}`);
  console.info([...reached].map(([place, count]) => `${place} ${count}`).join(', '));
  for (const question of questions) console.info(`asks about the text: ${question}`);
  console.info(`${problems.length} problems`);
  expect(problems.slice(0, 10)).toEqual([]);
  expect(totals.templates).toBeGreaterThanOrEqual(50);
});
