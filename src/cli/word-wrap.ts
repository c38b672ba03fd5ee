// Wraps text that comes piece by piece: a word is held back until its end is known. Used by `tesserae demo`.

export class WordWrap {
  readonly #width: number;
  readonly #indent: string;
  #column = 0;
  #word = '';
  #spaceBefore = false;

  /** @param width columns of a line, the indent included */
  constructor(width: number, indent: string) {
    this.#width = width;
    this.#indent = indent;
  }

  /** Takes a piece and returns the text that can be shown now. */
  push(piece: string): string {
    let shown = '';
    for (const character of piece) {
      if (!/\s/.test(character)) {
        this.#word += character;
        continue;
      }
      shown += this.#takeWord();
      if (character === '\n') shown += this.#breakLine();
      else this.#spaceBefore = this.#column > 0;
    }
    return shown;
  }

  /** Returns the rest and the end of the line. */
  end(): string {
    return this.#takeWord() + this.#breakLine();
  }

  #takeWord(): string {
    const word = this.#word;
    this.#word = '';
    if (word === '') return '';
    const space = this.#spaceBefore ? ' ' : '';
    const breaks = this.#spaceBefore && this.#column + 1 + word.length > this.#width;
    const before = breaks ? this.#breakLine() : space;
    this.#spaceBefore = false;
    const start = this.#column === 0 ? this.#indent : '';
    this.#column += start.length + (breaks ? 0 : space.length) + word.length;
    return before + start + word;
  }

  #breakLine(): string {
    this.#column = 0;
    this.#spaceBefore = false;
    return '\n';
  }
}
