// Decodes the bytes of tokens to text, all at once or as a stream. Invalid UTF-8 becomes U+FFFD, as in TextDecoder; a
// byte order mark is kept. Called by base-tokenizer.ts.
import type { TextCleanup } from './text-cleanup.js';
import type { TokenDecoder } from './tokenizer.js';

/** Returns the bytes of a token, undefined if it has no text. Throws for an id that is not in the vocabulary. */
export type BytesOf = (id: number) => Uint8Array | undefined;

const BLANK = 0x20;

export function decodeBytes(ids: Iterable<number>, bytesOf: BytesOf): string {
  const parts: Uint8Array[] = [];
  for (const id of ids) {
    const bytes = bytesOf(id);
    if (bytes !== undefined) parts.push(bytes);
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts));
}

/** Removes one space in front of the first token that has bytes. `reset` begins a new text. */
export function withoutFirstSpace(bytesOf: BytesOf): { bytesOf: BytesOf; reset(): void } {
  let begun = false;
  return {
    bytesOf: (id) => {
      const bytes = bytesOf(id);
      if (begun || bytes === undefined || bytes.length === 0) return bytes;
      begun = true;
      return bytes[0] === BLANK ? bytes.subarray(1) : bytes;
    },
    reset: () => {
      begun = false;
    },
  };
}

export class ByteDecoder implements TokenDecoder {
  readonly #bytesOf: BytesOf;
  readonly #reset: () => void;
  readonly #cleanup: TextCleanup | undefined;
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(bytesOf: BytesOf, reset: () => void = () => {}, cleanup?: TextCleanup) {
    this.#bytesOf = bytesOf;
    this.#reset = reset;
    this.#cleanup = cleanup;
  }

  push(id: number): string {
    const bytes = this.#bytesOf(id);
    if (bytes === undefined) return '';
    const text = this.#utf8.decode(bytes, { stream: true });
    return this.#cleanup === undefined ? text : this.#cleanup.push(text);
  }

  end(): string {
    this.#reset();
    const rest = this.#utf8.decode();
    return this.#cleanup === undefined ? rest : this.#cleanup.push(rest) + this.#cleanup.end();
  }
}
