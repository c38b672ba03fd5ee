// A forward sink of bytes: small values gather in a buffer, large ones go straight to the file. The counterpart of
// header-cursor.ts; called by write-gguf.ts, which knows what the bytes mean.
import type { FileHandle } from 'node:fs/promises';
import type { BigIntType, NumberType } from '../../metadata/value-types.js';

const BUFFER_BYTES = 1 << 20;
const PIECE_BYTES = 4 << 20;

export class FileSink {
  readonly #handle: FileHandle;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  /** Bytes that are in the file already. */
  #flushed = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** How many bytes were written so far. */
  get offset(): number {
    return this.#flushed + this.#used;
  }

  async number(type: NumberType | 'bool', value: number): Promise<void> {
    if (BUFFER_BYTES - this.#used < 8) await this.flush();
    const [buffer, at] = [this.#buffer, this.#used];
    switch (type) {
      case 'u8':
      case 'bool':
        this.#used = buffer.writeUInt8(value, at);
        break;
      case 'i8':
        this.#used = buffer.writeInt8(value, at);
        break;
      case 'u16':
        this.#used = buffer.writeUInt16LE(value, at);
        break;
      case 'i16':
        this.#used = buffer.writeInt16LE(value, at);
        break;
      case 'u32':
        this.#used = buffer.writeUInt32LE(value, at);
        break;
      case 'i32':
        this.#used = buffer.writeInt32LE(value, at);
        break;
      case 'f32':
        this.#used = buffer.writeFloatLE(value, at);
        break;
      case 'f64':
        this.#used = buffer.writeDoubleLE(value, at);
        break;
    }
  }

  async bigint(type: BigIntType, value: bigint): Promise<void> {
    if (BUFFER_BYTES - this.#used < 8) await this.flush();
    this.#used =
      type === 'u64'
        ? this.#buffer.writeBigUInt64LE(value, this.#used)
        : this.#buffer.writeBigInt64LE(value, this.#used);
  }

  /** A string's UTF-8 with its length before it. */
  async string(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    await this.bigint('u64', BigInt(bytes.length));
    await this.bytes(bytes);
  }

  /** Bytes as they are; they may lie in shared memory. `onPiece` is called between pieces of some MiB. */
  async bytes(bytes: Uint8Array, onPiece: () => void = () => {}): Promise<void> {
    if (bytes.length <= BUFFER_BYTES - this.#used) {
      this.#buffer.set(bytes, this.#used);
      this.#used += bytes.length;
      return;
    }
    await this.flush();
    for (let at = 0; at < bytes.length; ) {
      onPiece();
      const length = Math.min(PIECE_BYTES, bytes.length - at);
      const { bytesWritten } = await this.#handle.write(bytes, at, length, this.#flushed);
      at += bytesWritten;
      this.#flushed += bytesWritten;
    }
  }

  /** Zeros up to the next multiple of `alignment`. */
  async pad(alignment: number): Promise<void> {
    let missing = (alignment - (this.offset % alignment)) % alignment;
    for (; missing > BUFFER_BYTES; missing -= BUFFER_BYTES) await this.bytes(new Uint8Array(BUFFER_BYTES));
    await this.bytes(new Uint8Array(missing));
  }

  async flush(): Promise<void> {
    let at = 0;
    while (at < this.#used) {
      const { bytesWritten } = await this.#handle.write(this.#buffer, at, this.#used - at, this.#flushed);
      at += bytesWritten;
      this.#flushed += bytesWritten;
    }
    this.#used = 0;
  }
}
