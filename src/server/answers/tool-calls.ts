// Finds the calls of tools in an answer, as the families of models write them, and holds text back while it may be one. What
// is no call of a known tool stays text. Called by answer.ts.
import { randomUUID } from 'node:crypto';
import { isObject } from '../../base/json-view.js';
import { bareOpening, type ToolCall, type ToolUse } from '../../openai/index.js';
import { heldLength } from './reasoning.js';

export interface CallsAndText {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** Where calls begin, and where each ends; the others go on to the end of the answer. */
const markers = [
  // Hermes, Qwen.
  { open: '<tool_call>', close: '</tool_call>' },
  // Mistral.
  { open: '[TOOL_CALLS]', close: undefined },
  // Llama 3.1.
  { open: '<|python_tag|>', close: undefined },
] as const;

const nothing: CallsAndText = { content: '', calls: [] };

export class ToolCallFinder {
  readonly #names: ReadonlySet<string>;
  readonly #mode: ToolUse['calls'];
  #held = '';
  /** Within calls: where they began, and what ends one. */
  #within: (typeof markers)[number] | undefined;
  /** White space before that: text only if no call follows. */
  #gap = '';
  /** White space after a call is no text. */
  #trims = false;
  /** Whether anything but white space has come. */
  #hasBegun = false;
  /** The answer begins as JSON, which may be a call without a marker. */
  #isBare = false;

  constructor({ tools, calls }: ToolUse) {
    this.#names = new Set(tools.map((tool) => tool.function.name));
    this.#mode = calls;
  }

  /** @param isFirst whether nothing was before the answer's text, such as reasoning */
  push(text: string, isFirst: boolean): CallsAndText {
    this.#held += text;
    if (this.#mode === 'forced' || this.#isBare) return nothing;
    if (!this.#hasBegun) {
      const isBare = this.#mode === 'free' ? beginsBare(this.#held) : isFirst && isOpened(this.#held);
      if (isBare === undefined) return nothing;
      this.#hasBegun = true;
      this.#isBare = isBare;
      if (isBare) return nothing;
    }
    let content = '';
    const calls: ToolCall[] = [];
    for (;;) {
      const step = this.#step();
      if (step === undefined) return { content, calls };
      content += step.content;
      calls.push(...step.calls);
    }
  }

  /** What was held back: calls, or text. */
  end(): CallsAndText {
    const held = this.#held;
    this.#held = '';
    const calls = callsOf(held, this.#names);
    if (calls.length > 0) return { content: '', calls };
    return { content: this.#gap + (this.#within?.open ?? '') + held, calls: [] };
  }

  /** Takes one piece of what is held; undefined where nothing is certain. */
  #step(): CallsAndText | undefined {
    if (this.#within === undefined) return this.#stepOfText();
    const { open, close } = this.#within;
    const end = close === undefined ? -1 : this.#held.indexOf(close);
    if (close === undefined || end < 0) return undefined;
    const inner = this.#held.slice(0, end);
    this.#held = this.#held.slice(end + close.length);
    this.#within = undefined;
    const calls = callsOf(inner, this.#names);
    this.#trims = calls.length > 0;
    const content = this.#trims ? '' : this.#gap + open + inner + close;
    this.#gap = '';
    return { content, calls };
  }

  #stepOfText(): CallsAndText | undefined {
    if (this.#trims) this.#held = this.#held.trimStart();
    if (this.#held === '') return undefined;
    this.#trims = false;
    const found = markers
      .map((marker) => ({ marker, at: this.#held.indexOf(marker.open) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at)[0];
    const marked = Math.max(...markers.map(({ open }) => heldLength(this.#held, open)));
    const text = this.#held.slice(0, found?.at ?? this.#held.length - marked);
    // White space may be that before a call.
    const content = text.trimEnd();
    if (found !== undefined) {
      this.#gap = text.slice(content.length);
      this.#held = this.#held.slice(text.length + found.marker.open.length);
      this.#within = found.marker;
      return { content, calls: [] };
    }
    this.#held = this.#held.slice(content.length);
    return content === '' ? undefined : { content, calls: [] };
  }
}

/** Whether a text begins as JSON that may be calls; undefined while that is open. A list is Mistral's, whose marker may be lost. */
function beginsBare(text: string): boolean | undefined {
  const begun = text.trimStart();
  return begun === '' ? undefined : /^(\{|\[\s*(\{|$))/.test(begun);
}

/** Whether a text begins as the format of marked calls has a call without a marker. No other one is held to a schema. */
function isOpened(text: string): boolean | undefined {
  if (text.length < bareOpening.length && bareOpening.startsWith(text)) return undefined;
  return text.startsWith(bareOpening);
}

/** The calls of a text that is nothing but calls of known tools; otherwise none. */
function callsOf(text: string, names: ReadonlySet<string>): ToolCall[] {
  const found = jsonValuesOf(text) ?? namedValueOf(text);
  if (found === undefined) return [];
  const calls = found.flat().map((value) => callOf(value, names));
  return calls.every((call) => call !== undefined) ? calls : [];
}

function callOf(value: unknown, names: ReadonlySet<string>): ToolCall | undefined {
  if (!isObject(value)) return undefined;
  // Some models nest the call as messages have it.
  const { name, arguments: given, parameters } = isObject(value.function) ? value.function : value;
  if (typeof name !== 'string' || !names.has(name)) return undefined;
  const passed = given ?? parameters ?? {};
  const text = typeof passed === 'string' ? passed : JSON.stringify(passed);
  const id = `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  return { id, type: 'function', function: { name, arguments: text } };
}

/** The values of JSON texts that follow each other, with semicolons between them as Llama 3.1 writes. */
function jsonValuesOf(text: string): unknown[] | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return undefined;
  const whole = parsed(trimmed);
  if (whole !== undefined) return [whole];
  const values = trimmed.split(/;\s*(?=\{)/).map(parsed);
  return values.every((value) => value !== undefined) ? values : undefined;
}

/** Newer models of Mistral write NAME[ARGS]{…}, or NAME{…}. */
function namedValueOf(text: string): unknown[] | undefined {
  const calls = text.split('[TOOL_CALLS]').map((call) => {
    const [, name, json] = /^\s*([\w.-]+)\s*(?:\[ARGS\])?\s*(\{.*\})\s*$/s.exec(call) ?? [];
    const passed = json === undefined ? undefined : parsed(json);
    return passed === undefined ? undefined : { name, arguments: passed };
  });
  return calls.every((call) => call !== undefined) ? calls : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
