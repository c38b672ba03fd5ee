// Keeps a model's reasoning, between <think> and </think> at the beginning of an answer, apart from the answer. The text comes
// in pieces cut anywhere. Called by answer.ts.
import type { Format } from '../../index.js';

const open = '<think>';
const close = '</think>';

/** Whether an answer may have reasoning: a format leaves no room for it, but for that of text with tags. */
export function leavesReasoning(format: Format | undefined): boolean {
  return format === undefined || 'tags' in format;
}

export interface SplitText {
  readonly reasoning: string;
  readonly content: string;
}

export class ReasoningSplitter {
  /** `before`: nothing but white space has come. `trim`: white space after a marker is left out. */
  #state: 'before' | 'reasoning' | 'content';
  #held = '';
  #trims = false;
  /** Whether there is reasoning, though it may be empty. */
  hasReasoning: boolean;

  /** @param isOpen whether the prompt ends within the reasoning */
  constructor(isOpen: boolean) {
    this.#state = isOpen ? 'reasoning' : 'before';
    this.#trims = isOpen;
    this.hasReasoning = isOpen;
  }

  push(text: string): SplitText {
    let reasoning = '';
    this.#held += text;
    if (this.#state === 'before') {
      const begun = this.#held.trimStart();
      if (begun.length < open.length && open.startsWith(begun)) return { reasoning: '', content: '' };
      if (begun.startsWith(open)) {
        this.#held = begun.slice(open.length);
        this.#state = 'reasoning';
        this.hasReasoning = true;
        this.#trims = true;
      } else this.#state = 'content';
    }
    if (this.#state === 'reasoning') {
      this.#trim();
      const end = this.#held.indexOf(close);
      const certain = end < 0 ? this.#held.length - heldLength(this.#held, close) : end;
      reasoning = this.#held.slice(0, certain);
      this.#held = this.#held.slice(end < 0 ? certain : end + close.length);
      if (end < 0) return { reasoning, content: '' };
      this.#state = 'content';
      this.#trims = true;
    }
    this.#trim();
    const content = this.#held;
    this.#held = '';
    return { reasoning, content };
  }

  /** What was held back. */
  end(): SplitText {
    const held = this.#held;
    this.#held = '';
    return this.#state === 'reasoning' ? { reasoning: held, content: '' } : { reasoning: '', content: held };
  }

  /** White space next to a marker belongs to it. */
  #trim(): void {
    if (!this.#trims) return;
    this.#held = this.#held.trimStart();
    if (this.#held !== '') this.#trims = false;
  }
}

/** The length of the longest end of a text with which a marker may begin. */
export function heldLength(text: string, marker: string): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length--) {
    if (text.endsWith(marker.slice(0, length))) return length;
  }
  return 0;
}
