// Opens safetensors files: eight bytes with the length of a JSON header, the header, and the tensors' bytes. The header
// is untrusted, and checked as a whole. Reads no tensor data. Called by huggingface-checkpoint.ts.
import { formatShape, TesseraeError } from '../../base/errors.js';
import { describeJson, isObject } from '../../base/json-view.js';
import { quote } from '../../base/quote.js';
import { TimeSlice } from '../../base/time-slice.js';
import { ModelFile } from '../model-file.js';

/**
 * A header of ten thousand tensors has about one MiB. Larger ones than this would block the event loop while they are
 * parsed.
 */
const MAX_HEADER_BYTES = 16 << 20;
const LENGTH_BYTES = 8;
const MAX_DIMENSIONS = 8;

/**
 * The bytes of an element, and GGUF's name of the type, for all types of the format. Those without a name cannot be
 * loaded.
 */
const elementTypes: Readonly<Record<string, readonly [bytes: number, type?: string]>> = {
  F32: [4, 'F32'],
  F16: [2, 'F16'],
  BF16: [2, 'BF16'],
  F64: [8],
  F8_E4M3: [1],
  F8_E5M2: [1],
  I64: [8],
  I32: [4],
  I16: [2],
  I8: [1],
  U64: [8],
  U32: [4],
  U16: [2],
  U8: [1],
  BOOL: [1],
};

export interface SafetensorsInfo {
  readonly name: string;
  /** GGUF's name of the type; `undefined` for types that cannot be loaded. */
  readonly type: string | undefined;
  /** The file's name of the type. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Offset in the file of the first byte. */
  readonly position: number;
  readonly sizeBytes: number;
}

/** The caller closes `file`. */
export interface SafetensorsFile {
  readonly file: ModelFile;
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
}

/** @throws TesseraeError ERR_FILE, ERR_MODEL_FILE for a header that is damaged or does not fit the file; AbortError */
export async function openSafetensors(path: string, signal?: AbortSignal | undefined): Promise<SafetensorsFile> {
  const file = await ModelFile.open(path, signal);
  try {
    return { file, tensors: await readHeader(file, new TimeSlice(signal), signal) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(
  file: ModelFile,
  timeSlice: TimeSlice,
  signal: AbortSignal | undefined,
): Promise<Map<string, SafetensorsInfo>> {
  const fail = (problem: string) => new TesseraeError('ERR_MODEL_FILE', `${file.path}: ${problem}`);
  if (file.sizeBytes < LENGTH_BYTES + 2) throw fail('not a safetensors file: it is too short');
  const lengthBytes = Buffer.alloc(LENGTH_BYTES);
  await file.readInto(lengthBytes, 0, 'the length of the header', signal);
  const length = Number(lengthBytes.readBigUInt64LE());
  if (length > file.sizeBytes - LENGTH_BYTES) throw fail(`not a safetensors file: a header of ${length} bytes`);
  if (length > MAX_HEADER_BYTES) throw fail(`its header has ${length} bytes, more than ${MAX_HEADER_BYTES}`);
  const text = Buffer.alloc(length);
  await file.readInto(text, LENGTH_BYTES, 'the header', signal);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
  } catch {
    throw fail('its header is no JSON');
  }
  if (!isObject(header)) throw fail('its header is no JSON object');
  const dataStart = LENGTH_BYTES + length;
  const dataBytes = file.sizeBytes - dataStart;
  const tensors = new Map<string, SafetensorsInfo>();
  for (const name of Object.keys(header)) {
    if (name === '__metadata__') continue;
    const info = readTensor(name, header[name], dataBytes, fail);
    tensors.set(name, { ...info, position: dataStart + info.position });
    if (timeSlice.isOver()) await timeSlice.yield();
  }
  checkOverlaps(tensors, fail);
  return tensors;
}

function readTensor(
  name: string,
  entry: unknown,
  dataBytes: number,
  fail: (problem: string) => TesseraeError,
): SafetensorsInfo {
  const what = `tensor ${quote(name)}`;
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (typeof dtype !== 'string' || !Object.hasOwn(elementTypes, dtype)) {
    throw fail(`${what} has the unknown type ${describeJson(dtype)}`);
  }
  const isSize = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isSize)) {
    throw fail(`${what} has no valid shape`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw fail(`${what} has no valid data_offsets`);
  }
  const [start, end] = offsets as [number, number];
  if (start > end || end > dataBytes) throw fail(`${what} reaches outside the file`);
  const [elementBytes, type] = elementTypes[dtype] as readonly [number, string?];
  const sizeBytes = (shape as number[]).reduce((product, size) => product * size, elementBytes);
  if (sizeBytes !== end - start) {
    throw fail(`${what} has ${end - start} bytes, ${dtype} ${formatShape(shape)} takes ${sizeBytes}`);
  }
  return { name, dtype, type, shape, position: start, sizeBytes };
}

function checkOverlaps(tensors: ReadonlyMap<string, SafetensorsInfo>, fail: (problem: string) => TesseraeError): void {
  const inOrder = [...tensors.values()].sort((a, b) => a.position - b.position || a.sizeBytes - b.sizeBytes);
  let end = 0;
  for (const { name, position, sizeBytes } of inOrder) {
    if (position < end) throw fail(`tensor ${quote(name)} overlaps another`);
    end = position + sizeBytes;
  }
}
