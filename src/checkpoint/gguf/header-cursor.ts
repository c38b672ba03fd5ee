// Reads the header of a GGUF file from front to back, in bounded chunks, and checks every length against the rest of
// the file before it allocates or reads anything. Decodes numbers, strings and bytes; parse-header.ts gives them
// meaning.
import { isUtf8 } from 'node:buffer';
import { type ErrorCode, TesseraeError } from '../../base/errors.js';
import type { ModelFile } from '../model-file.js';

const WINDOW_BYTES = 1 << 20;
/** Headers of known models are smaller than 32 MiB; this bounds what a hostile file can make us read and keep. */
const MAX_HEADER_BYTES = 256 << 20;

export class HeaderCursor {
  readonly #file: ModelFile;
  /** The offset that the header must not exceed, and the reason, for messages. */
  readonly #limit: number;
  readonly #limitName: string;
  #window: Buffer;
  /** File offset of the window's first byte. */
  #windowOffset = 0;
  /** The window's bytes from #at to #end are read but not yet taken. */
  #at = 0;
  #end = 0;

  constructor(file: ModelFile) {
    const fileSizeBytes = file.sizeBytes;
    this.#file = file;
    this.#limit = Math.min(fileSizeBytes, MAX_HEADER_BYTES);
    this.#limitName =
      fileSizeBytes <= MAX_HEADER_BYTES
        ? `the file ends at byte ${fileSizeBytes}`
        : `a header may be ${MAX_HEADER_BYTES} bytes long`;
    this.#window = Buffer.allocUnsafeSlow(Math.min(WINDOW_BYTES, this.#limit));
  }

  /** Offset in the file of the next byte to take. */
  get offset(): number {
    return this.#windowOffset + this.#at;
  }

  /** How many more bytes the header may have. */
  get left(): number {
    return this.#limit - this.offset;
  }

  /** An error about the byte at the cursor, or at another offset. */
  error(what: string, offset = this.offset, code: ErrorCode = 'ERR_MODEL_FILE'): TesseraeError {
    return new TesseraeError(code, `${this.#file.path}: ${what} (at byte ${offset})`);
  }

  /** Throws unless the rest of the file can hold `count` items of at least `sizeBytes` each. */
  checkFits(count: number, sizeBytes: number, what: string): void {
    if (count > this.left / sizeBytes) {
      const needs = sizeBytes === 1 ? `${count} bytes` : `${count} × ${sizeBytes} bytes`;
      throw this.error(`${what} needs ${needs}, but ${this.#limitName}`);
    }
  }

  /** Whether the next bytes can be taken without reading from the file. */
  holds(sizeBytes: number): boolean {
    return this.#end - this.#at >= sizeBytes;
  }

  /** Reads until the window holds the next `sizeBytes`; throws where the file is too short. */
  async need(sizeBytes: number, what: string): Promise<void> {
    if (this.holds(sizeBytes)) return;
    this.checkFits(sizeBytes, 1, what);
    const held = this.#end - this.#at;
    const target = sizeBytes > this.#window.length ? Buffer.allocUnsafeSlow(sizeBytes) : this.#window;
    this.#window.copy(target, 0, this.#at, this.#end);
    this.#windowOffset += this.#at;
    this.#window = target;
    this.#at = 0;
    this.#end = held;
    while (this.#end < sizeBytes) {
      const room = Math.min(target.length - this.#end, WINDOW_BYTES, this.#limit - this.#windowOffset - this.#end);
      this.#end += await this.#read(target, this.#end, room, this.#windowOffset + this.#end);
    }
  }

  /** Fills `target` with the next bytes; throws where the file is too short. */
  async readInto(target: Uint8Array, what: string): Promise<void> {
    this.checkFits(target.length, 1, what);
    let filled = Math.min(this.#end - this.#at, target.length);
    target.set(this.#window.subarray(this.#at, this.#at + filled));
    this.#at += filled;
    if (filled === target.length) return;
    const start = this.offset - filled;
    while (filled < target.length) {
      filled += await this.#read(target, filled, Math.min(target.length - filled, WINDOW_BYTES), start + filled);
    }
    this.#windowOffset = start + filled;
    this.#at = 0;
    this.#end = 0;
  }

  async #read(target: Uint8Array, at: number, length: number, position: number): Promise<number> {
    const bytesRead = await this.#file.readChunk(target, at, length, position);
    if (bytesRead === 0) throw this.error('the file was shortened while it was read', position);
    return bytesRead;
  }

  // The methods below take bytes that the window already holds: call need() first.

  u8(): number {
    return this.#window.readUInt8(this.#advance(1));
  }

  i8(): number {
    return this.#window.readInt8(this.#advance(1));
  }

  u16(): number {
    return this.#window.readUInt16LE(this.#advance(2));
  }

  i16(): number {
    return this.#window.readInt16LE(this.#advance(2));
  }

  u32(): number {
    return this.#window.readUInt32LE(this.#advance(4));
  }

  i32(): number {
    return this.#window.readInt32LE(this.#advance(4));
  }

  f32(): number {
    return this.#window.readFloatLE(this.#advance(4));
  }

  u64(): bigint {
    return this.#window.readBigUInt64LE(this.#advance(8));
  }

  i64(): bigint {
    return this.#window.readBigInt64LE(this.#advance(8));
  }

  f64(): number {
    return this.#window.readDoubleLE(this.#advance(8));
  }

  /** A u64 that is a count, length or offset: throws where it is no safe integer. */
  count(what: string): number {
    const low = this.#window.readUInt32LE(this.#at);
    const high = this.#window.readUInt32LE(this.#at + 4);
    const value = high * 2 ** 32 + low;
    if (high >= 2 ** 21) throw this.error(`${what} is ${(BigInt(high) << 32n) + BigInt(low)}`);
    this.#at += 8;
    return value;
  }

  text(sizeBytes: number, what: string): string {
    const start = this.#advance(sizeBytes);
    const text = this.#window.toString('utf8', start, start + sizeBytes);
    if (text.includes('\ufffd') && !isUtf8(this.#window.subarray(start, start + sizeBytes))) {
      throw this.error(`${what} is not valid UTF-8`, this.#windowOffset + start);
    }
    return text;
  }

  /** Copies the next bytes to target[at, at + sizeBytes). */
  copyTo(target: Uint8Array, at: number, sizeBytes: number): void {
    const start = this.#advance(sizeBytes);
    this.#window.copy(target, at, start, start + sizeBytes);
  }

  #advance(sizeBytes: number): number {
    const at = this.#at;
    this.#at += sizeBytes;
    return at;
  }
}
