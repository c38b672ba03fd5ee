// The text of an answer with the control tokens by which models mark calls and reasoning: they have no text in a generation.
// Called by answer.ts.
import type { Piece, Tokenizer } from '../../index.js';

const markers = ['<think>', '</think>', '<tool_call>', '</tool_call>', '[TOOL_CALLS]', '[ARGS]', '<|python_tag|>'];

/** The spellings of control tokens of a model that are markers, by their ids. Looked up once for each token. */
export class MarkerText {
  readonly #tokenizer: Tokenizer;
  readonly #texts = new Map<number, string>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  textOf({ id, text }: Piece): string {
    // Only a token without text can be a control token.
    return text === '' ? this.#markerOf(id) : text;
  }

  #markerOf(id: number): string {
    const known = this.#texts.get(id);
    if (known !== undefined) return known;
    const spelling = this.#tokenizer.isControl(id) ? this.#tokenizer.tokenText(id) : '';
    const text = markers.includes(spelling) ? spelling : '';
    this.#texts.set(id, text);
    return text;
  }
}
