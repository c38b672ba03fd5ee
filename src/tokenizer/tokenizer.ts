// What every kind of tokenizer offers: encoding texts, decoding tokens, and facts about single tokens. Users get one as
// `model.tokenizer`; create-tokenizer.ts makes it.

/** A place in a text, in code units: text[start, end). */
export interface Literal {
  readonly start: number;
  readonly end: number;
}

export interface EncodeOptions {
  /** Begin with the model's BOS token. Default false: the tokens are the text's own. */
  addBos?: boolean;
  /** End with the model's EOS token; for encoders that is their separator. Default false. */
  addEos?: boolean;
  /** Turn the text of control tokens, such as `<|endoftext|>`, into these tokens. Default false: it is plain text. */
  special?: boolean;
  /**
   * Places, in order, where the text of control tokens stays plain text even so, and that of a token which the user
   * defined where it is the whole place.
   */
  literals?: readonly Literal[];
}

export interface DecodeOptions {
  /** Render control tokens as their text. Default false: they give nothing. */
  special?: boolean;
  /**
   * The tokens continue another text. Default false: they are a whole one, and the space that some vocabularies put in
   * front of a text is taken away again.
   */
  continues?: boolean;
}

/** Decodes a stream of tokens. Pieces joined are what `decode` gives for all of them at once. */
export interface TokenDecoder {
  /**
   * The text that is certain with this token; may be empty, and never ends within a character.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  push(id: number): string;
  /** The rest: U+FFFD where the last character is incomplete. The decoder is then as new. */
  end(): string;
}

export interface Tokenizer {
  /** As `tokenizer.ggml.model` names it, such as `gpt2`. */
  readonly kind: string;
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** All tokens that end a generation: EOS, end of turn, end of message, and the like. */
  readonly endIds: ReadonlySet<number>;
  /** Whether the model expects its prompts to begin with BOS. */
  readonly addsBos: boolean;
  /** Whether the model expects whole texts to end with EOS, or with a separator. */
  readonly addsEos: boolean;

  /**
   * The tokens of a text. Runs until it is done: for texts over some 100 kB, take {@link encodeAsync}.
   * @throws TesseraeError ERR_TOKENIZER when the text holds a lone surrogate or a byte that the vocabulary lacks
   */
  encode(text: string, options?: EncodeOptions): number[];

  /** As {@link encode}, in slices that leave the event loop free. Rejects with an AbortError when the signal fires. */
  encodeAsync(text: string, options?: EncodeOptions & { signal?: AbortSignal }): Promise<number[]>;

  /**
   * The text of tokens. Bytes that are not valid UTF-8 become U+FFFD.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;

  decoder(options?: DecodeOptions): TokenDecoder;

  /**
   * A token as it is spelled in the vocabulary (`decode([id], { special: true })` gives the text that it stands for).
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  tokenText(id: number): string;

  /**
   * The bytes that a token stands for: a view that is not to be written to. Empty for control tokens.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  tokenBytes(id: number): Uint8Array;

  /**
   * Whether a token is a mark for the model, such as BOS, rather than a piece of text.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  isControl(id: number): boolean;

  /** Texts of the tokens that the user defined: they are matched in every text. */
  readonly userTexts: readonly string[];

  /** Where a text spells control tokens, in order. */
  controlTexts(text: string): Literal[];
}
