// The state of a session as bytes: a header that says what it is of, the token ids, the pages, and a digest of all that.
// Little-endian. Written and read in slices that leave the event loop free; what does not fit is refused before memory is
// taken for it. Used by sessions.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { messageOf } from '../../base/describe.js';
import { AbortError, TesseraeError } from '../../base/errors.js';
import { checkPath, openRegularFile, replaceFile } from '../../base/regular-file.js';
import { TimeSlice } from '../../base/time-slice.js';
import {
  clearPositions,
  type KeyValueType,
  keyValueTypes,
  pageLayout,
  positionsPerPage,
} from '../../ops/paged/key-value-pages.js';
import type { DecoderParts } from '../decoder-programs.js';
import { KeyValues } from '../key-values.js';
import { pagesFor } from '../page-table.js';
import { Sequence, type SequenceState } from '../sequence.js';

const magic = Uint8Array.from('tsr-kv\r\n', (character) => character.charCodeAt(0));
const version = 1;
const digestBytes = 32;
/** Magic, then version, type, positions per page, layers, kvHeads, headDim, vDim, tokens as u32, then the fingerprint. */
const numbersAt = magic.length;
const numberCount = 8;
const fingerprintAt = numbersAt + 4 * numberCount;
const headerBytes = fingerprintAt + digestBytes;
/** What is copied and hashed between two chances to rest: half a millisecond or so. */
const pieceBytes = 1 << 18;

const fingerprints = new WeakMap<DecoderParts, Promise<Uint8Array>>();

/**
 * Tells models apart by what they compute: a digest of the configuration and of the hidden states of a few tokens, which
 * every weight has a part in. Other kernels give other bits, and another fingerprint.
 */
export function fingerprintOf(parts: DecoderParts): Promise<Uint8Array> {
  let fingerprint = fingerprints.get(parts);
  if (fingerprint === undefined) {
    fingerprint = computeFingerprint(parts);
    fingerprints.set(parts, fingerprint);
    fingerprint.catch(() => fingerprints.delete(parts));
  }
  return fingerprint;
}

async function computeFingerprint(parts: DecoderParts): Promise<Uint8Array> {
  const { config } = parts;
  const hash = createHash('sha256').update(JSON.stringify(config));
  const ids = [0, config.vocabulary - 1, config.vocabulary >> 1];
  const probe = new Sequence(parts, pageLayout(parts.pageLayout, 'f32'));
  const visit = (rows: Float32Array) => void hash.update(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
  try {
    await probe.forward({ ids, output: 'hidden', visit });
    return hash.digest();
  } finally {
    probe.dispose();
  }
}

/** @throws TesseraeError ERR_BUDGET when JavaScript cannot hold so many bytes; AbortError */
export async function saveState(
  state: SequenceState,
  fingerprint: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const all = newBytes(sizeBytes(state));
  let at = 0;
  for await (const piece of pieces(state, fingerprint, signal)) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** @throws TesseraeError ERR_FILE; AbortError */
export async function saveStateTo(
  path: string,
  state: SequenceState,
  fingerprint: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const op = 'saveTo';
  checkPath(path, 'the file to write', op);
  const write = async (file: FileHandle) => {
    for await (const piece of pieces(state, fingerprint, signal)) {
      for (let at = 0; at < piece.length; ) at += (await file.write(piece, at, piece.length - at)).bytesWritten;
    }
  };
  await inFile(op, path, () => replaceFile(path, write));
}

function sizeBytes({ ids, keyValues }: SequenceState): number {
  return headerBytes + 4 * ids.length + keyValues.sizeBytes + digestBytes;
}

/** The state piece by piece, of {@link pieceBytes} at most, some of them views of shared memory. */
async function* pieces(
  state: SequenceState,
  fingerprint: Uint8Array,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const { ids, keyValues } = state;
  const timeSlice = new TimeSlice(signal);
  const hash = createHash('sha256');
  const runs = async function* (): AsyncGenerator<Uint8Array, void, void> {
    yield headerOf(state, fingerprint);
    const idBytes = new DataView(new ArrayBuffer(4 * ids.length));
    for (const [index, id] of ids.entries()) idBytes.setUint32(4 * index, id, true);
    yield new Uint8Array(idBytes.buffer);
    const last = ids.length % positionsPerPage === 0 ? -1 : keyValues.pages.length - 1;
    for (const [index, page] of keyValues.pages.entries()) {
      const bytes = page.bytes.asBytes();
      yield index === last ? await clearedCopy(bytes, ids.length % positionsPerPage, keyValues, timeSlice) : bytes;
    }
  };
  for await (const run of runs()) {
    for (let from = 0; from < run.length; from += pieceBytes) {
      const piece = run.subarray(from, from + pieceBytes);
      hash.update(piece);
      yield piece;
      if (timeSlice.isOver()) await timeSlice.yield();
    }
  }
  yield hash.digest();
}

function headerOf({ ids, keyValues }: SequenceState, fingerprint: Uint8Array): Uint8Array {
  const { type, layers, kvHeads, headDim, vDim } = keyValues.layout;
  const header = new Uint8Array(headerBytes);
  header.set(magic);
  const numbers = [version, keyValueTypes[type], positionsPerPage, layers, kvHeads, headDim, vDim, ids.length];
  const view = new DataView(header.buffer);
  for (const [index, value] of numbers.entries()) view.setUint32(numbersAt + 4 * index, value, true);
  header.set(fingerprint, fingerprintAt);
  return header;
}

/** Behind the last token a page holds what was there before: none of a saved state's business. */
async function clearedCopy(
  bytes: Uint8Array,
  from: number,
  { layout }: KeyValues,
  timeSlice: TimeSlice,
): Promise<Uint8Array> {
  const copy = newBytes(bytes.length);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    copy.set(bytes.subarray(at, at + pieceBytes), at);
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  for (const _ of clearPositions(copy, layout, from)) if (timeSlice.isOver()) await timeSlice.yield();
  return copy;
}

/**
 * @throws TesseraeError ERR_SESSION_STATE, ERR_CONTEXT, ERR_FILE, ERR_BUDGET, ERR_ARGUMENT; AbortError. Nothing is left in
 * memory then.
 */
export async function loadState(
  parts: DecoderParts,
  source: Uint8Array | string,
  fingerprint: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<SequenceState> {
  await using reader = await StateReader.open(source, signal);
  const header = await reader.read(new Uint8Array(headerBytes));
  if (!magic.every((byte, index) => header[index] === byte)) throw stateError('it is no saved session');
  const view = new DataView(header.buffer);
  const numbers = Array.from({ length: numberCount }, (_, index) => view.getUint32(numbersAt + 4 * index, true));
  const [found, typeNumber, perPage, layers, kvHeads, headDim, vDim, tokens] = numbers as [
    ...[number, number, number, number, number, number, number, number],
  ];
  if (found !== version) throw stateError(`it is of version ${found}, this library reads version ${version}`);
  const type = (Object.keys(keyValueTypes) as KeyValueType[]).find((name) => keyValueTypes[name] === typeNumber);
  const own = parts.pageLayout;
  const sameSizes = layers === own.layers && kvHeads === own.kvHeads && headDim === own.headDim && vDim === own.vDim;
  if (!sameSizes || !fingerprint.every((byte, index) => header[fingerprintAt + index] === byte)) {
    throw stateError('it was saved by another model, or computed by other kernels');
  }
  if (type === undefined || perPage !== positionsPerPage) throw stateError('it is damaged');
  const layout = pageLayout(own, type);
  const expected = headerBytes + 4 * tokens + pagesFor(tokens) * layout.pageBytes + digestBytes;
  if (reader.sizeBytes !== expected) {
    throw stateError(`it has ${reader.sizeBytes} bytes where ${tokens} tokens take ${expected}`);
  }
  if (tokens > parts.capacity) {
    const message = `a saved session of ${tokens} tokens does not fit into a context of ${parts.capacity}`;
    throw new TesseraeError('ERR_CONTEXT', message, { op: 'loadSession' });
  }
  const idView = new DataView((await reader.read(new Uint8Array(4 * tokens))).buffer);
  const ids = Array.from({ length: tokens }, (_, index) => idView.getUint32(4 * index, true));
  if (ids.some((id) => id >= parts.config.vocabulary)) throw stateError('it holds an id that is no token');
  const keyValues = new KeyValues(parts, layout);
  try {
    for (let page = 0; page < pagesFor(tokens); page++) await reader.read(keyValues.addPage().bytes.asBytes());
    await reader.checkDigest();
    return { ids, keyValues };
  } catch (error) {
    keyValues.truncate(0);
    throw error;
  }
}

/** Reads a state from front to back, hashing what it reads. */
class StateReader {
  readonly sizeBytes: number;
  readonly #source: Uint8Array | FileHandle;
  readonly #hash = createHash('sha256');
  readonly #timeSlice: TimeSlice;
  #at = 0;

  private constructor(source: Uint8Array | FileHandle, sizeBytes: number, timeSlice: TimeSlice) {
    this.#source = source;
    this.sizeBytes = sizeBytes;
    this.#timeSlice = timeSlice;
  }

  static async open(source: unknown, signal: AbortSignal | undefined): Promise<StateReader> {
    const op = 'loadSession';
    const timeSlice = new TimeSlice(signal);
    if (source instanceof Uint8Array) return new StateReader(source, source.length, timeSlice);
    if (typeof source !== 'string') {
      throw new TesseraeError('ERR_ARGUMENT', 'expected a saved session: its bytes, or the path of a file', { op });
    }
    checkPath(source, 'a saved session', op);
    const file = await inFile(op, source, () => openRegularFile(source, signal));
    try {
      const stats = await inFile(op, source, () => file.stat());
      return new StateReader(file, stats.size, timeSlice);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Fills the target. */
  async read(target: Uint8Array): Promise<Uint8Array> {
    for (let from = 0; from < target.length; from += pieceBytes) {
      const piece = target.subarray(from, from + pieceBytes);
      await this.#fill(piece);
      this.#hash.update(piece);
      if (this.#timeSlice.isOver()) await this.#timeSlice.yield();
    }
    return target;
  }

  async checkDigest(): Promise<void> {
    const stored = new Uint8Array(digestBytes);
    await this.#fill(stored);
    const digest = this.#hash.digest();
    if (!stored.every((byte, index) => byte === digest[index])) throw stateError('it is damaged');
  }

  async #fill(piece: Uint8Array): Promise<void> {
    if (this.#at + piece.length > this.sizeBytes) throw stateError('it is cut short');
    if (this.#source instanceof Uint8Array) {
      piece.set(this.#source.subarray(this.#at, this.#at + piece.length));
      this.#at += piece.length;
      return;
    }
    const file = this.#source;
    for (let done = 0; done < piece.length; ) {
      const read = () => file.read(piece, done, piece.length - done, this.#at);
      const { bytesRead } = await inFile('loadSession', 'the saved session', read);
      if (bytesRead === 0) throw stateError('it became shorter while it was read');
      done += bytesRead;
      this.#at += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!(this.#source instanceof Uint8Array)) await this.#source.close();
  }
}

function stateError(problem: string): TesseraeError {
  return new TesseraeError('ERR_SESSION_STATE', `the state cannot be loaded: ${problem}`, { op: 'loadSession' });
}

async function inFile<T>(op: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof TesseraeError || cause instanceof AbortError) throw cause;
    throw new TesseraeError('ERR_FILE', `${path}: ${messageOf(cause)}`, { op, cause });
  }
}

/** @throws TesseraeError ERR_BUDGET when JavaScript cannot hold so many */
function newBytes(count: number): Uint8Array {
  try {
    return new Uint8Array(count);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new TesseraeError('ERR_BUDGET', `the system refused an array of ${count} bytes`, { op: 'save', cause });
  }
}
