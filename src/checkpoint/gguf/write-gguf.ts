// Writes GGUF files, version 3, little-endian, one tensor at a time, so that memory never holds all of them. Converts
// nothing. Called by quantize.ts, and by tests and benchmarks to make models.
import { TesseraeError } from '../../base/errors.js';
import { quote } from '../../base/quote.js';
import { replaceFile } from '../../base/regular-file.js';
import { TimeSlice } from '../../base/time-slice.js';
import {
  DEFAULT_ALIGNMENT,
  GGUF_MAGIC,
  isAlignment,
  type MetadataArray,
  type MetadataValue,
  type ValueType,
  valueTypeNames,
} from '../../metadata/value-types.js';
import { messageOf } from '../model-file.js';
import { FileSink } from './file-sink.js';
import { tensorSizeBytes, tensorTypeCodes, tensorTypes } from './tensor-types.js';

const VERSION = 3;
const STRINGS_PER_CLOCK_READING = 512;

/** A tensor's bytes: all at once, or in chunks that are asked for one by one. */
export type GgufTensorData = ArrayBufferView | AsyncIterable<ArrayBufferView> | Iterable<ArrayBufferView>;

export interface GgufTensorSource {
  readonly name: string;
  /** ggml's name of the type, such as `F16`. */
  readonly type: string;
  /** Row-major: the last dimension is contiguous. */
  readonly shape: readonly number[];
  /** The tensor's bytes as the file stores them; exactly as many as type and shape require. */
  readonly data: GgufTensorData;
}

export interface GgufContent {
  /** In the order of the file. `general.alignment` sets the alignment, by default 32 bytes. */
  readonly metadata: Iterable<readonly [key: string, value: MetadataValue]>;
  readonly tensors: readonly GgufTensorSource[];
}

interface PlacedTensor extends GgufTensorSource {
  readonly typeCode: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * Writes a file. It appears at `path` when it is complete; until then, and after a failure, `path` is unchanged.
 * @throws TesseraeError ERR_ARGUMENT for inconsistent content, ERR_FILE when it cannot be written;
 * AbortError when the signal fires
 */
export async function writeGguf(
  path: string,
  content: GgufContent,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const timeSlice = new TimeSlice(options.signal);
  const metadata = new Map(content.metadata);
  const alignment = alignmentOf(metadata);
  const tensors = placeTensors(content.tensors, alignment);
  try {
    await replaceFile(path, async (handle) => {
      const sink = new FileSink(handle);
      await writeHeader(sink, metadata, tensors, timeSlice);
      for (const tensor of tensors) {
        await sink.pad(alignment);
        await writeTensor(sink, tensor, timeSlice);
      }
      await sink.pad(alignment);
      await sink.flush();
    });
  } catch (error) {
    if (isSystemError(error)) {
      throw new TesseraeError('ERR_FILE', `${path}: cannot be written: ${messageOf(error)}`, { cause: error });
    }
    throw error;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function alignmentOf(metadata: ReadonlyMap<string, MetadataValue>): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type === 'u32' && isAlignment(entry.value)) return entry.value;
  throw new TesseraeError('ERR_ARGUMENT', 'metadata key "general.alignment" must be a u32, a power of two from 8 on');
}

function placeTensors(sources: readonly GgufTensorSource[], alignment: number): PlacedTensor[] {
  const names = new Set<string>();
  let offset = 0;
  return sources.map((source) => {
    const what = `tensor ${quote(source.name)}`;
    if (names.has(source.name)) throw new TesseraeError('ERR_ARGUMENT', `${what} occurs twice`);
    names.add(source.name);
    const typeCode = tensorTypeCodes.get(source.type);
    const type = typeCode === undefined ? undefined : tensorTypes.get(typeCode);
    if (typeCode === undefined || type === undefined) {
      throw new TesseraeError('ERR_ARGUMENT', `${what} has the unknown type ${quote(source.type)}`);
    }
    const { shape } = source;
    const isShape =
      shape.length >= 1 && shape.length <= 4 && shape.every((size) => Number.isSafeInteger(size) && size > 0);
    const sizeBytes = isShape ? tensorSizeBytes(type, shape) : undefined;
    if (sizeBytes === undefined) {
      throw new TesseraeError(
        'ERR_ARGUMENT',
        `${what}: a ${type.name} tensor cannot have the shape [${shape.join(', ')}]`,
      );
    }
    const placed = { ...source, typeCode, offset, sizeBytes };
    offset = Math.ceil((offset + sizeBytes) / alignment) * alignment;
    return placed;
  });
}

async function writeHeader(
  sink: FileSink,
  metadata: ReadonlyMap<string, MetadataValue>,
  tensors: readonly PlacedTensor[],
  timeSlice: TimeSlice,
): Promise<void> {
  await sink.bytes(Buffer.from(GGUF_MAGIC));
  await sink.number('u32', VERSION);
  await sink.bigint('u64', BigInt(tensors.length));
  await sink.bigint('u64', BigInt(metadata.size));
  for (const [key, value] of metadata) {
    await sink.string(key);
    await writeValue(sink, value, timeSlice);
  }
  for (const { name, shape, typeCode, offset } of tensors) {
    await sink.string(name);
    await sink.number('u32', shape.length);
    for (const size of [...shape].reverse()) await sink.bigint('u64', BigInt(size));
    await sink.number('u32', typeCode);
    await sink.bigint('u64', BigInt(offset));
  }
}

async function writeType(sink: FileSink, type: ValueType): Promise<void> {
  await sink.number('u32', valueTypeNames.indexOf(type));
}

async function writeValue(sink: FileSink, value: MetadataValue, timeSlice: TimeSlice): Promise<void> {
  await writeType(sink, value.type);
  switch (value.type) {
    case 'array':
      return writeArray(sink, value, timeSlice);
    case 'string':
      return sink.string(value.value);
    case 'u64':
    case 'i64':
      return sink.bigint(value.type, value.value);
    default:
      return sink.number(value.type, Number(value.value));
  }
}

async function writeArray(sink: FileSink, { element, value }: MetadataArray, timeSlice: TimeSlice): Promise<void> {
  await writeType(sink, element);
  await sink.bigint('u64', BigInt(value.length));
  if (element !== 'string') return sink.bytes(bytesOf(value));
  for (let i = 0; i < value.length; i++) {
    await sink.string(value.bytesAt(i));
    if (i % STRINGS_PER_CLOCK_READING === 0 && timeSlice.isOver()) await timeSlice.yield();
  }
}

async function writeTensor(
  sink: FileSink,
  { name, data, sizeBytes }: PlacedTensor,
  timeSlice: TimeSlice,
): Promise<void> {
  let written = 0;
  for await (const chunk of ArrayBuffer.isView(data) ? [data] : data) {
    timeSlice.throwIfAborted();
    const bytes = bytesOf(chunk);
    written += bytes.length;
    if (written > sizeBytes) break;
    await sink.bytes(bytes, () => timeSlice.throwIfAborted());
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  if (written === sizeBytes) return;
  const got = written > sizeBytes ? 'more' : `only ${written}`;
  throw new TesseraeError('ERR_ARGUMENT', `tensor ${quote(name)} has ${sizeBytes} bytes, but ${got} were given`);
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
