// The interface of all tokenizers: encode texts, decode tokens, and inspect single tokens. Users get one as
// `model.tokenizer`; create-tokenizer.ts makes it.

/** Where the tokens that `special` brings are plain text. */
export interface PlainPlaces {
  /** Code units of the text at which no control token begins, in order. */
  readonly places: ArrayLike<number>;
  /** The texts of user-defined tokens that do not begin at these places either. */
  readonly marks: ReadonlySet<string>;
}

export interface EncodeOptions {
  /** Begin with the model's BOS token. Default false. */
  addBos?: boolean;
  /** End with the model's EOS token, or with the separator of an encoder. Default false. */
  addEos?: boolean;
  /** Encode the text of a control token, such as `<|endoftext|>`, as that token. Default false: as plain text. */
  special?: boolean;
  /** Places of the text at which control tokens stay plain text in spite of `special`. */
  plain?: PlainPlaces;
  /**
   * Only the first so many tokens: exactly those with which the encoding of the whole text begins. The text behind them is
   * not tokenized, nor checked, except for the rest of the word that they end in, since how a word is split may depend on
   * all of it. A vocabulary whose tokens have spaces within (SentencePiece BPE alone) makes one word of the whole text.
   */
  limit?: number;
}

export interface DecodeOptions {
  /** Decode control tokens to their text. Default false: they have no text. */
  special?: boolean;
  /**
   * The tokens continue another text. Default false: they are a whole text, and the space that some tokenizers add in
   * front of a text is removed.
   */
  continues?: boolean;
  /**
   * Remove the spaces in front of punctuation and English endings that tokenizing has left. Default: what the model's
   * files say (`clean_up_tokenization_spaces`) for a whole text, and false for one that continues another.
   */
  cleanUp?: boolean;
}

/** Decodes a stream of tokens. The joined texts are what `decode` gives for all tokens at once. */
export interface TokenDecoder {
  /**
   * Appends a token. Returns the text that is certain now: it may be empty, and never ends within a character.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  push(id: number): string;
  /**
   * Ends the text and returns the rest: U+FFFD if the last character is incomplete. The decoder can then be used again.
   */
  end(): string;
}

export interface Tokenizer {
  /** The kind, as in `tokenizer.ggml.model`: `gpt2`, `llama`, `t5` or `bert`. */
  readonly kind: string;
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** All tokens that end a generation: EOS, end of turn, end of message and others. */
  readonly endIds: ReadonlySet<number>;
  /** Whether the model expects its prompts to begin with BOS. */
  readonly addsBos: boolean;
  /** Whether the model expects whole texts to end with EOS, or with a separator. */
  readonly addsEos: boolean;

  /**
   * The tokens of a text. Blocks the event loop until it is done: for texts over some 100 kB, use {@link encodeAsync}.
   * @throws TesseraeError ERR_TOKENIZER when the text contains a lone surrogate, or a byte that the vocabulary lacks
   */
  encode(text: string, options?: EncodeOptions): number[];

  /**
   * As {@link encode}, in time slices that leave the event loop free. Rejects with an AbortError when the signal fires.
   */
  encodeAsync(text: string, options?: EncodeOptions & { signal?: AbortSignal }): Promise<number[]>;

  /**
   * The text of tokens. Bytes that are not valid UTF-8 become U+FFFD.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;

  /** A decoder for a stream of tokens. */
  decoder(options?: DecodeOptions): TokenDecoder;

  /**
   * A token's spelling in the vocabulary. (Its text is `decode([id], { special: true })`.)
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  tokenText(id: number): string;

  /**
   * The bytes of a token's text: a view that must not be written to. Empty for control tokens.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  tokenBytes(id: number): Uint8Array;

  /**
   * Whether a token is a mark for the model, such as BOS, and not text.
   * @throws TesseraeError ERR_TOKENIZER for an id that is not in the vocabulary
   */
  isControl(id: number): boolean;

  /** The texts of user-defined tokens, which are matched in every text. */
  readonly userTexts: readonly string[];

  /** The characters with which the texts of control tokens begin. */
  readonly controlBeginnings: ReadonlySet<string>;
}
