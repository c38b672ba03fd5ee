// Writes a file from front to back: collects small values in a buffer, and writes large ones directly. The counterpart
// of header-cursor.ts. Encodes numbers, strings and bytes; write-gguf.ts, its caller, gives them meaning.
import type { FileHandle } from 'node:fs/promises';
import type { BigIntType, NumberType } from '../../metadata/value-types.js';

const BUFFER_BYTES = 1 << 20;
const CHUNK_BYTES = 4 << 20;

export class FileSink {
  readonly #handle: FileHandle;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  /** Bytes already written to the file. */
  #flushed = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** How many bytes the sink has taken so far. */
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

  /** A string as UTF-8, preceded by its length in bytes. */
  async string(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    await this.bigint('u64', BigInt(bytes.length));
    await this.bytes(bytes);
  }

  /**
   * Bytes as they are; they may be in shared memory. Large ones are written in chunks: `onChunk` is called before each.
   */
  async bytes(bytes: Uint8Array, onChunk: () => void = () => {}): Promise<void> {
    if (bytes.length <= BUFFER_BYTES - this.#used) {
      this.#buffer.set(bytes, this.#used);
      this.#used += bytes.length;
      return;
    }
    await this.flush();
    for (let at = 0; at < bytes.length; ) {
      onChunk();
      const length = Math.min(CHUNK_BYTES, bytes.length - at);
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
