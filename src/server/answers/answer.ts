// One answer of a model, from the pieces of its generation to the parts that clients are told: text, reasoning, calls of
// tools, log probabilities; and several answers at once. Called by the endpoints.
import type { Generation, GenerationResult, Piece, Tokenizer } from '../../index.js';
import { logprobOf, type RatedToken, type ToolCall, type ToolUse } from '../../openai/index.js';
import { MarkerText } from './marker-text.js';
import { ReasoningSplitter } from './reasoning.js';
import { type CallsAndText, ToolCallFinder } from './tool-calls.js';

export interface AnswerPart {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly ToolCall[];
  /** The tokens of the answer itself, where log probabilities were asked for. */
  readonly rated: readonly RatedToken[];
}

export interface AnswerEnd {
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  readonly promptTokens: number;
  readonly tokens: number;
  readonly reasoningTokens: number;
}

export interface AnswerOptions {
  readonly tokenizer: Tokenizer;
  /** What may be called; undefined for none. */
  readonly toolUse?: ToolUse | undefined;
  /** Whether reasoning is kept apart, and whether the prompt ends within it. */
  readonly reasoning?: 'none' | 'closed' | 'open';
}

type Answer = AsyncGenerator<AnswerPart, AnswerEnd, void>;

/** The parts of an answer as they become certain. */
async function* answerOf(generation: Generation, options: AnswerOptions): Answer {
  const reader = new PieceReader(options);
  for (;;) {
    const step = await generation.next();
    if (step.done === true) {
      const last = reader.end();
      if (last !== undefined) yield last;
      return reader.ending(step.value);
    }
    const part = reader.push(step.value);
    if (part !== undefined) yield part;
  }
}

class PieceReader {
  readonly #tokenizer: Tokenizer;
  readonly #markers: MarkerText | undefined;
  readonly #reasoning: ReasoningSplitter | undefined;
  readonly #finder: ToolCallFinder | undefined;
  #rated: RatedToken[] = [];
  #hasCalls = false;
  #reasoningTokens = 0;

  constructor({ tokenizer, toolUse, reasoning = 'none' }: AnswerOptions) {
    this.#tokenizer = tokenizer;
    const isPlain = reasoning === 'none' && toolUse === undefined;
    this.#markers = isPlain ? undefined : new MarkerText(tokenizer);
    this.#reasoning = reasoning === 'none' ? undefined : new ReasoningSplitter(reasoning === 'open');
    this.#finder = toolUse === undefined ? undefined : new ToolCallFinder(toolUse);
  }

  /** What became certain with a piece; undefined for nothing. */
  push(piece: Piece): AnswerPart | undefined {
    const { reasoning, content } = this.#split(this.#markers?.textOf(piece) ?? piece.text);
    if (reasoning !== '') this.#reasoningTokens++;
    // Spelled as it comes: all tokens of an answer at its end would take long.
    else if (piece.logprobs !== undefined) this.#rated.push(logprobOf(piece.id, piece.logprobs, this.#tokenizer));
    return this.#partOf(reasoning, this.#find(content));
  }

  end(): AnswerPart | undefined {
    const { reasoning, content } = this.#reasoning?.end() ?? { reasoning: '', content: '' };
    const before = this.#find(content);
    const last = this.#finder?.end() ?? { content: '', calls: [] };
    const all = { content: before.content + last.content, calls: [...before.calls, ...last.calls] };
    return this.#partOf(reasoning, all, true);
  }

  ending({ stopReason, promptTokens, tokens }: GenerationResult): AnswerEnd {
    const isWhole = stopReason === 'eos' || stopReason === 'stop';
    const finishReason = this.#hasCalls ? 'tool_calls' : isWhole ? 'stop' : 'length';
    return { finishReason, promptTokens, tokens: tokens.length, reasoningTokens: this.#reasoningTokens };
  }

  #find(content: string): CallsAndText {
    return this.#finder?.push(content, this.#reasoning?.hasReasoning !== true) ?? { content, calls: [] };
  }

  #split(text: string): { readonly reasoning: string; readonly content: string } {
    return this.#reasoning?.push(text) ?? { reasoning: '', content: text };
  }

  #partOf(reasoning: string, { content, calls }: CallsAndText, isLast = false): AnswerPart | undefined {
    if (calls.length > 0) this.#hasCalls = true;
    // Log probabilities wait for the text that they are of.
    const isEmpty = reasoning === '' && content === '' && calls.length === 0;
    if (isEmpty && !(isLast && this.#rated.length > 0)) return undefined;
    const rated = this.#rated;
    this.#rated = [];
    return { reasoning, content, calls, rated };
  }
}

/** A part of one of several answers, or its end. */
export type NumberedPart = { readonly index: number } & ({ readonly part: AnswerPart } | { readonly end: AnswerEnd });

/** The parts of the answers of several generations as they come. The first failure, or leaving early, ends all of them. */
export async function* answersOf(
  generations: readonly Generation[],
  options: AnswerOptions,
): AsyncGenerator<NumberedPart, void, void> {
  const answers = generations.map((generation) => answerOf(generation, options));
  const ready: (NumberedPart | { readonly error: unknown })[] = [];
  let wake: (() => void) | undefined;
  const add = (item: NumberedPart | { readonly error: unknown }) => {
    ready.push(item);
    wake?.();
  };
  const ask = (index: number) => {
    (answers[index] as Answer).next().then(
      (step) => add(step.done === true ? { index, end: step.value } : { index, part: step.value }),
      (error: unknown) => add({ error }),
    );
  };
  try {
    for (const index of answers.keys()) ask(index);
    for (let left = answers.length; left > 0; ) {
      const item = ready.shift();
      if (item === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if ('error' in item) throw item.error;
      yield item;
      if ('end' in item) left--;
      else ask(item.index);
    }
  } finally {
    for (const generation of generations) void generation[Symbol.asyncDispose]();
  }
}
