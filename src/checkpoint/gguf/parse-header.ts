// Parses the header of a GGUF file, versions 2 and 3, little-endian (ggml docs/gguf.md): counts, metadata and tensor
// infos, each checked before it is used. Opens no file and reads no tensor data. Called by gguf-file.ts.
import { isUtf8 } from 'node:buffer';
import { quote } from '../../base/quote.js';
import type { TimeSlice } from '../../base/time-slice.js';
import { StringList } from '../../metadata/string-list.js';
import {
  DEFAULT_ALIGNMENT,
  GGUF_MAGIC,
  isAlignment,
  type MetadataArray,
  type MetadataValue,
  type ScalarType,
  scalarTypes,
  valueTypeNames,
} from '../../metadata/value-types.js';
import type { HeaderCursor } from './header-cursor.js';
import { tensorSizeBytes, tensorTypes } from './tensor-types.js';

const MAX_KEY_BYTES = 65_535;
const MAX_STRING_BYTES = 16 << 20;
/** Bounds for the number of metadata keys and of tensors; known models have some thousands at most. */
const MAX_ENTRIES = 65_536;
const MAX_DIMENSIONS = 4;
/** How many bytes, and how many strings, are parsed between two readings of the clock. */
const BYTES_PER_CLOCK_READING = 1 << 15;
const STRINGS_PER_CLOCK_READING = 1 << 10;

/** A tensor's type, shape and location in the file. */
export interface GgufTensorInfo {
  readonly name: string;
  /** ggml's name of its type, such as `F16` or `Q4_K`. */
  readonly type: string;
  /** Row-major: the last dimension is contiguous. The file has the same sizes in reverse order. */
  readonly shape: readonly number[];
  /** Offset of the first byte from the file's `dataOffset`, in bytes. */
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: Map<string, MetadataValue>;
  readonly tensors: Map<string, GgufTensorInfo>;
  readonly alignment: number;
  readonly dataOffset: number;
}

export async function parseHeader(
  cursor: HeaderCursor,
  fileSizeBytes: number,
  timeSlice: TimeSlice,
): Promise<GgufHeader> {
  const version = await parseVersion(cursor);
  await cursor.need(16, 'the header');
  const tensorCount = parseEntryCount(cursor, 'the number of tensors');
  const keyCount = parseEntryCount(cursor, 'the number of metadata keys');
  const metadata = await parseMetadata(cursor, keyCount, timeSlice);
  const alignment = alignmentOf(cursor, metadata);
  const infosOffset = cursor.offset;
  const tensors = await parseTensorInfos(cursor, tensorCount, timeSlice);
  const dataOffset = Math.ceil(cursor.offset / alignment) * alignment;
  checkPlacement(cursor, [...tensors.values()], { alignment, dataSizeBytes: fileSizeBytes - dataOffset, infosOffset });
  return { version, metadata, tensors, alignment, dataOffset };
}

async function parseVersion(cursor: HeaderCursor): Promise<number> {
  await cursor.need(8, 'the magic and version of a GGUF file');
  const magic = String.fromCharCode(cursor.u8(), cursor.u8(), cursor.u8(), cursor.u8());
  if (magic !== GGUF_MAGIC) throw cursor.error(`not a GGUF file: it begins with ${quote(magic)}`, 0);
  const version = cursor.u32();
  if (version === 2 || version === 3) return version;
  if (version !== 0 && version % 0x10000 === 0) throw cursor.error('big-endian GGUF files are not supported', 4);
  throw cursor.error(`GGUF version ${version} is not supported, only 2 and 3`, 4);
}

function parseEntryCount(cursor: HeaderCursor, what: string): number {
  const count = cursor.count(what);
  if (count > MAX_ENTRIES) throw cursor.error(`${what} is ${count}, more than ${MAX_ENTRIES}`, cursor.offset - 8);
  return count;
}

async function parseMetadata(
  cursor: HeaderCursor,
  count: number,
  timeSlice: TimeSlice,
): Promise<Map<string, MetadataValue>> {
  const values = new Map<string, MetadataValue>();
  const smallestEntryBytes = 8 + 1 + 4 + 1;
  cursor.checkFits(count, smallestEntryBytes, `the metadata of ${count} keys`);
  for (let i = 0; i < count; i++) {
    const start = cursor.offset;
    const key = await parseName(cursor, `the name of metadata key ${i}`);
    if (values.has(key)) throw cursor.error(`metadata key ${quote(key)} occurs twice`, start);
    values.set(key, await parseValue(cursor, `metadata key ${quote(key)}`, timeSlice));
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  return values;
}

async function parseName(cursor: HeaderCursor, what: string): Promise<string> {
  const sizeBytes = await parseLength(cursor, what, MAX_KEY_BYTES);
  if (sizeBytes === 0) throw cursor.error(`${what} is empty`, cursor.offset - 8);
  await cursor.need(sizeBytes, what);
  return cursor.text(sizeBytes, what);
}

async function parseLength(cursor: HeaderCursor, what: string, maxBytes: number): Promise<number> {
  if (!cursor.holds(8)) await cursor.need(8, `the length of ${what}`);
  const sizeBytes = cursor.count(`the length of ${what}`);
  if (sizeBytes > maxBytes) {
    throw cursor.error(`${what} has ${sizeBytes} bytes, more than ${maxBytes}`, cursor.offset - 8);
  }
  return sizeBytes;
}

async function parseValue(cursor: HeaderCursor, what: string, timeSlice: TimeSlice): Promise<MetadataValue> {
  await cursor.need(4, `the type of ${what}`);
  const type = parseValueType(cursor, what);
  if (type === 'array') return parseArray(cursor, what, timeSlice);
  if (type === 'string') {
    const sizeBytes = await parseLength(cursor, what, MAX_STRING_BYTES);
    await cursor.need(sizeBytes, what);
    return { type, value: cursor.text(sizeBytes, what) };
  }
  await cursor.need(scalarTypes[type].sizeBytes, what);
  if (type === 'u64' || type === 'i64') return { type, value: cursor[type]() };
  if (type === 'bool') {
    const value = cursor.u8();
    if (value > 1) throw cursor.error(`${what} is a bool of value ${value}`, cursor.offset - 1);
    return { type, value: value === 1 };
  }
  return { type, value: cursor[type]() };
}

function parseValueType(cursor: HeaderCursor, what: string): (typeof valueTypeNames)[number] {
  const code = cursor.u32();
  const type = valueTypeNames[code];
  if (type === undefined) throw cursor.error(`${what} has the unknown value type ${code}`, cursor.offset - 4);
  return type;
}

async function parseArray(cursor: HeaderCursor, what: string, timeSlice: TimeSlice): Promise<MetadataArray> {
  await cursor.need(12, `the array header of ${what}`);
  const element = parseValueType(cursor, what);
  const length = cursor.count(`the length of ${what}`);
  if (element === 'array') {
    throw cursor.error(`${what} is an array of arrays, which is not supported`, cursor.offset - 12, 'ERR_UNSUPPORTED');
  }
  if (element === 'string')
    return { type: 'array', element, value: await parseStrings(cursor, length, what, timeSlice) };
  return parseNumbers(cursor, { element, length, what, timeSlice });
}

async function parseStrings(
  cursor: HeaderCursor,
  length: number,
  what: string,
  timeSlice: TimeSlice,
): Promise<StringList> {
  cursor.checkFits(length, 8, what);
  const lengthName = `the length of a string of ${what}`;
  const offsets = new Uint32Array(length + 1);
  // The strings cannot have more bytes than the rest of the file, less their lengths.
  const mostBytes = cursor.left - 8 * length;
  let bytes = new Uint8Array(Math.min(BYTES_PER_CLOCK_READING, mostBytes));
  let end = 0;
  let checkedEnd = 0;
  for (let i = 0; i < length; i++) {
    if (!cursor.holds(8)) await cursor.need(8, what);
    const sizeBytes = cursor.count(lengthName);
    if (sizeBytes > MAX_STRING_BYTES) throw cursor.error(`${what} holds a string of ${sizeBytes} bytes`);
    if (!cursor.holds(sizeBytes)) await cursor.need(sizeBytes, what);
    if (end + sizeBytes > mostBytes) throw cursor.error(`${what} leaves no room for all of its ${length} strings`);
    if (end + sizeBytes > bytes.length) {
      const larger = new Uint8Array(Math.min(Math.max(2 * bytes.length, end + sizeBytes), mostBytes));
      larger.set(bytes.subarray(0, end));
      bytes = larger;
    }
    cursor.copyTo(bytes, end, sizeBytes);
    // If their concatenation is valid UTF-8 and none begins inside a character, each of the strings is valid.
    if (sizeBytes > 0 && ((bytes[end] as number) & 0xc0) === 0x80) throw notUtf8(cursor, what);
    end += sizeBytes;
    offsets[i + 1] = end;
    if (end - checkedEnd < BYTES_PER_CLOCK_READING && i % STRINGS_PER_CLOCK_READING !== 0 && i + 1 < length) continue;
    if (!isUtf8(bytes.subarray(checkedEnd, end))) throw notUtf8(cursor, what);
    checkedEnd = end;
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  return new StringList(bytes.slice(0, end), offsets);
}

function notUtf8(cursor: HeaderCursor, what: string): Error {
  return cursor.error(`${what} holds a string that is not valid UTF-8`);
}

async function parseNumbers(
  cursor: HeaderCursor,
  { element, length, what, timeSlice }: { element: ScalarType; length: number; what: string; timeSlice: TimeSlice },
): Promise<MetadataArray> {
  const { sizeBytes, array } = scalarTypes[element];
  cursor.checkFits(length, sizeBytes, what);
  const start = cursor.offset;
  const value = array(length);
  const bytes = new Uint8Array(value.buffer);
  await cursor.readInto(bytes, what);
  if (element === 'bool') {
    for (let i = 0; i < length; i++) {
      const byte = bytes[i] as number;
      if (byte > 1) throw cursor.error(`${what} holds a bool of value ${byte}`, start + i);
      if (i % BYTES_PER_CLOCK_READING === 0 && timeSlice.isOver()) await timeSlice.yield();
    }
  }
  return { type: 'array', element, value } as MetadataArray;
}

function alignmentOf(cursor: HeaderCursor, metadata: ReadonlyMap<string, MetadataValue>): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  if (entry.type !== 'u32' || !isAlignment(entry.value)) {
    const got = entry.type === 'u32' ? entry.value : entry.type;
    throw cursor.error(`metadata key "general.alignment" must be a u32, a power of two from 8 on, got ${got}`);
  }
  return entry.value;
}

async function parseTensorInfos(
  cursor: HeaderCursor,
  count: number,
  timeSlice: TimeSlice,
): Promise<Map<string, GgufTensorInfo>> {
  const infos = new Map<string, GgufTensorInfo>();
  const smallestInfoBytes = 8 + 1 + 4 + 8 + 4 + 8;
  cursor.checkFits(count, smallestInfoBytes, `the list of ${count} tensors`);
  for (let i = 0; i < count; i++) {
    const start = cursor.offset;
    const name = await parseName(cursor, `the name of tensor ${i}`);
    if (infos.has(name)) throw cursor.error(`tensor ${quote(name)} occurs twice`, start);
    infos.set(name, await parseTensorInfo(cursor, name));
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  return infos;
}

async function parseTensorInfo(cursor: HeaderCursor, name: string): Promise<GgufTensorInfo> {
  const what = `tensor ${quote(name)}`;
  const start = cursor.offset;
  await cursor.need(4, what);
  const rank = cursor.u32();
  if (rank < 1 || rank > MAX_DIMENSIONS) {
    throw cursor.error(`${what} has ${rank} dimensions, expected 1 to ${MAX_DIMENSIONS}`, start);
  }
  await cursor.need(8 * rank + 4 + 8, what);
  const shape: number[] = [];
  for (let d = 0; d < rank; d++) shape.unshift(cursor.count(`a dimension of ${what}`));
  if (shape.includes(0)) throw cursor.error(`${what} has a dimension of 0`, start);
  const code = cursor.u32();
  const type = tensorTypes.get(code);
  if (type === undefined) {
    throw cursor.error(`${what} has the unknown type ${code}`, cursor.offset - 4, 'ERR_UNSUPPORTED');
  }
  const sizeBytes = tensorSizeBytes(type, shape);
  if (sizeBytes === undefined) {
    throw cursor.error(`${what} has the impossible shape [${shape.join(', ')}] for ${type.name}`, start);
  }
  return { name, type: type.name, shape, offset: cursor.count(`the offset of ${what}`), sizeBytes };
}

/** Tensors must be inside the file, aligned, and not overlap. Gaps between them are allowed. */
function checkPlacement(
  cursor: HeaderCursor,
  infos: GgufTensorInfo[],
  { alignment, dataSizeBytes, infosOffset }: { alignment: number; dataSizeBytes: number; infosOffset: number },
): void {
  const ascending = infos.every((info, i) => i === 0 || info.offset >= (infos[i - 1] as GgufTensorInfo).offset);
  if (!ascending) infos.sort((a, b) => a.offset - b.offset);
  let end = 0;
  let previous = '';
  for (const { name, offset, sizeBytes } of infos) {
    const what = `tensor ${quote(name)}`;
    if (offset % alignment !== 0) {
      throw cursor.error(`${what} has offset ${offset}, no multiple of the alignment ${alignment}`, infosOffset);
    }
    if (sizeBytes > dataSizeBytes || offset > dataSizeBytes - sizeBytes) {
      throw cursor.error(
        `${what} needs ${sizeBytes} bytes at data offset ${offset}, but the file has ${Math.max(dataSizeBytes, 0)} ` +
          'bytes of data: is it truncated?',
        infosOffset,
      );
    }
    if (offset < end) throw cursor.error(`${what} overlaps tensor ${quote(previous)}`, infosOffset);
    end = offset + sizeBytes;
    previous = name;
  }
}
