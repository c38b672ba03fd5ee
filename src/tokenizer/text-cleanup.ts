// Removes the spaces in front of punctuation and English endings that tokenizing words has left, as transformers does with
// `clean_up_tokenization_spaces`, in a stream of texts. Called by base-tokenizer.ts.

/** What is replaced by what, one after the other: a later one sees what an earlier one has written. */
const replacements: readonly (readonly [from: string, to: string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

export class TextCleanup {
  readonly #stages = replacements.map(([from, to]) => new Replacement(from, to));

  /** The text that is certain now. */
  push(text: string): string {
    return this.#stages.reduce((at, stage) => stage.push(at), text);
  }

  end(): string {
    return this.#stages.reduce((at, stage) => stage.push(at) + stage.end(), '');
  }
}

/** Replaces one text in a stream. */
class Replacement {
  readonly #from: string;
  readonly #to: string;
  /** The end of the text so far, where it may be the beginning of what is replaced. */
  #held = '';

  constructor(from: string, to: string) {
    this.#from = from;
    this.#to = to;
  }

  push(text: string): string {
    const parts = (this.#held + text).split(this.#from);
    const rest = parts.pop() as string;
    let held = Math.min(this.#from.length - 1, rest.length);
    while (!this.#from.startsWith(rest.slice(rest.length - held))) held -= 1;
    this.#held = rest.slice(rest.length - held);
    return [...parts, rest.slice(0, rest.length - held)].join(this.#to);
  }

  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}
