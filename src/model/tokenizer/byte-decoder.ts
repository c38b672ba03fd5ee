// Turns the bytes of tokens into text, all at once or as a stream. Invalid UTF-8 becomes U+FFFD as TextDecoder has it,
// and a byte order mark stays. Called by the tokenizers whose tokens are bytes.
import type { TokenDecoder } from './tokenizer.js';

/** The bytes of a token, or `undefined` when it gives no text. Throws for an id that is not in the vocabulary. */
export type BytesOf = (id: number) => Uint8Array | undefined;

export function decodeBytes(ids: Iterable<number>, bytesOf: BytesOf): string {
  const pieces: Uint8Array[] = [];
  for (const id of ids) {
    const bytes = bytesOf(id);
    if (bytes !== undefined) pieces.push(bytes);
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(pieces));
}

export class ByteDecoder implements TokenDecoder {
  readonly #bytesOf: BytesOf;
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(bytesOf: BytesOf) {
    this.#bytesOf = bytesOf;
  }

  push(id: number): string {
    const bytes = this.#bytesOf(id);
    return bytes === undefined ? '' : this.#utf8.decode(bytes, { stream: true });
  }

  end(): string {
    return this.#utf8.decode();
  }
}
