// Wraps text that comes in pieces: a word is held back until it is known where it ends. For the demonstration.

export class WordWrap {
  readonly #width: number;
  readonly #indent: string;
  #column = 0;
  #word = '';

  /** @param width columns of a line, the indent included */
  constructor(width: number, indent: string) {
    this.#width = width;
    this.#indent = indent;
  }

  /** What can be shown with this piece. */
  push(piece: string): string {
    let shown = '';
    for (const character of piece) {
      if (!/\s/.test(character)) this.#word += character;
      else {
        shown += this.#takeWord();
        if (character === '\n') shown += this.#breakLine();
        else if (this.#column > this.#indent.length) shown += this.#add(' ');
      }
    }
    return shown;
  }

  /** The rest, and the end of the line. */
  end(): string {
    return `${this.#takeWord()}\n`;
  }

  #takeWord(): string {
    const word = this.#word;
    this.#word = '';
    if (word === '') return '';
    const breaks = this.#column + word.length > this.#width && this.#column > this.#indent.length;
    return (breaks ? this.#breakLine() : '') + this.#add(word);
  }

  #add(text: string): string {
    const indent = this.#column === 0 ? this.#indent : '';
    this.#column += indent.length + text.length;
    return indent + text;
  }

  #breakLine(): string {
    this.#column = 0;
    return '\n';
  }
}
