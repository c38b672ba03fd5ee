// Quantizes a GGUF file into another: reads the tensors in chunks, encodes them on all workers, and writes them.
// quantize-rules.ts chooses the types. Called by the engine.

import { stat } from 'node:fs/promises';
import { describe } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { checkFlag, checkOptions } from '../../base/options.js';
import { quote } from '../../base/quote.js';
import { checkPath } from '../../base/regular-file.js';
import type { MetadataValue } from '../../metadata/value-types.js';
import type { Compute } from '../../ops/calls/compute.js';
import {
  elementBytes,
  type QuantizeSource,
  type QuantizeTarget,
  quantizeBlocks,
  quantizeSources,
} from '../../ops/quantized/quantize-blocks.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Checkpoint, CheckpointTensor } from '../checkpoint.js';
import { openGgufCheckpoint } from '../gguf/gguf-checkpoint.js';
import { tensorSizeBytes, tensorTypeCodes, tensorTypes } from '../gguf/tensor-types.js';
import { type GgufTensorSource, writeGguf } from '../gguf/write-gguf.js';
import { messageOf } from '../model-file.js';
import { QUANTIZATION_VERSION, type QuantizeType, quantizedTypeOf, quantizeTypes } from './quantize-rules.js';

export interface QuantizeProgress {
  /** Bytes of the input's tensors: written so far, and in total. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface QuantizeOptions {
  readonly type: QuantizeType;
  /** Whether an existing output may be replaced; false by default. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: QuantizeProgress) => void) | undefined;
}

/** The written file. */
export interface QuantizeResult {
  readonly path: string;
  readonly inputBytes: number;
  readonly outputBytes: number;
  /** How many tensors have each type. */
  readonly tensorTypes: Readonly<Record<string, number>>;
}

/** Elements of a chunk, of which two are in memory at a time: a multiple of every block. */
const CHUNK_ELEMENTS = 1 << 22;

const op = 'quantizeModel';

/**
 * Writes a quantized copy of a GGUF model. The output appears when it is complete; until then, and after a failure, the
 * path is unchanged.
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_ARGUMENT, ERR_UNSUPPORTED for an input that is already quantized,
 * ERR_BUDGET; AbortError when the signal fires
 */
export async function quantizeModel(
  compute: Compute,
  input: string,
  output: string,
  options: QuantizeOptions,
): Promise<QuantizeResult> {
  checkOptions(options, ['type', 'force', 'signal', 'onProgress'], op);
  const { type, signal, onProgress } = options;
  const force = checkFlag(options.force, false, 'force', op);
  if (!Object.hasOwn(quantizeTypes, type)) {
    const known = Object.keys(quantizeTypes).join(', ');
    throw new TesseraeError('ERR_ARGUMENT', `type must be one of ${known}, got ${describe(type)}`, { op });
  }
  const signalOption = signal === undefined ? {} : { signal };
  await using checkpoint = await openGgufCheckpoint(input, { signal });
  const files = new Set([...checkpoint.tensors.values()].map(({ file }) => file));
  await checkOutput([input, ...[...files].map((file) => file.path)], output, force);
  const targets = targetsOf(checkpoint, type);
  const totalBytes = [...checkpoint.tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let doneBytes = 0;
  const onChunk = (bytes: number) => {
    doneBytes += bytes;
    onProgress?.({ doneBytes, totalBytes });
  };
  const chunks = new ChunkReader(compute, { signal, onChunk });
  const tensors = [...checkpoint.tensors.values()].map((info): GgufTensorSource => {
    const target = targets.get(info.name);
    const { name, shape } = info;
    if (target === undefined) return { name, shape, type: info.type, data: chunks.copied(info) };
    return { name, shape, type: target, data: chunks.quantized(info, target) };
  });
  await writeGguf(output, { metadata: metadataOf(checkpoint, type), tensors }, signalOption);
  return {
    path: output,
    inputBytes: [...files].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    outputBytes: (await stat(output)).size,
    tensorTypes: countTypes(tensors),
  };
}

async function checkOutput(inputs: readonly string[], output: string, force: boolean): Promise<void> {
  checkPath(output, 'the output', op);
  const there = await stat(output).catch((error: NodeJS.ErrnoException) => {
    // Where the folder is absent, opening the file for writing fails.
    if (error.code === 'ENOENT') return undefined;
    throw new TesseraeError('ERR_FILE', `${output}: cannot be written: ${messageOf(error)}`, { cause: error });
  });
  if (there === undefined) return;
  for (const input of inputs) {
    const source = await stat(input);
    if (there.dev !== source.dev || there.ino !== source.ino) continue;
    throw new TesseraeError('ERR_ARGUMENT', `input and output are the same file, ${output}`, { op });
  }
  if (!there.isFile()) throw new TesseraeError('ERR_FILE', `${output}: cannot be written: it is not a regular file`);
  if (!force) throw new TesseraeError('ERR_FILE', `${output}: exists already, and is replaced only by force`);
}

/** The types of the tensors that are quantized; the others are copied. */
function targetsOf(checkpoint: Checkpoint, type: QuantizeType): Map<string, QuantizeTarget> {
  const architecture = checkpoint.metadata.string('general.architecture');
  const facts = {
    layers: checkpoint.metadata.count(`${architecture}.block_count`),
    hasOutput: checkpoint.tensors.has('output.weight'),
  };
  const targets = new Map<string, QuantizeTarget>();
  for (const info of checkpoint.tensors.values()) {
    const target = quantizedTypeOf(info, type, facts);
    if (target === undefined || target === info.type) continue;
    if (!Object.hasOwn(quantizeSources, info.type)) {
      const sources = Object.keys(quantizeSources).join(', ');
      const problem = `has type ${info.type}; only ${sources} are quantized, since a second rounding adds to the error`;
      throw new TesseraeError('ERR_UNSUPPORTED', `${checkpoint.path}: tensor ${quote(info.name)} ${problem}`);
    }
    targets.set(info.name, target);
  }
  return targets;
}

/** Keys that are written anew, and those that say that the input is split. */
const replacedKeys = /^(general\.(file_type|quantization_version)|split\..*)$/;

function* metadataOf(checkpoint: Checkpoint, type: QuantizeType): Generator<readonly [string, MetadataValue]> {
  for (const [key, value] of checkpoint.metadata) {
    if (!replacedKeys.test(key)) yield [key, value];
  }
  yield ['general.file_type', { type: 'u32', value: quantizeTypes[type].fileType }];
  yield ['general.quantization_version', { type: 'u32', value: QUANTIZATION_VERSION }];
}

function countTypes(tensors: readonly GgufTensorSource[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of tensors) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

interface ChunkOptions {
  readonly signal: AbortSignal | undefined;
  readonly onChunk: (sourceBytes: number) => void;
}

/** Gives tensors to the writer, chunk by chunk. */
class ChunkReader {
  readonly #compute: Compute;
  readonly #options: ChunkOptions;

  constructor(compute: Compute, options: ChunkOptions) {
    this.#compute = compute;
    this.#options = options;
  }

  /** The tensor's bytes, unchanged. */
  async *copied(info: CheckpointTensor): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(Math.min(info.sizeBytes, CHUNK_ELEMENTS));
    for (let at = 0; at < info.sizeBytes; at += buffer.length) {
      const chunk = buffer.subarray(0, info.sizeBytes - at);
      await this.#read(info, at, chunk);
      yield chunk;
      this.#options.onChunk(chunk.length);
    }
  }

  /** The tensor's blocks. While a chunk is written, the next one is read and encoded. */
  async *quantized(info: CheckpointTensor, to: QuantizeTarget): AsyncGenerator<Uint8Array> {
    const size = info.shape.reduce((product, dim) => product * dim, 1);
    const starts = Array.from({ length: Math.ceil(size / CHUNK_ELEMENTS) }, (_, index) => index * CHUNK_ELEMENTS);
    const buffers = [0, 1]
      .slice(0, starts.length)
      .map(() => new ChunkBuffer(this.#compute, info, to, Math.min(size, CHUNK_ELEMENTS)));
    const produce = async (index: number) => {
      const start = starts[index] as number;
      const buffer = buffers[index % 2] as ChunkBuffer;
      const elements = Math.min(CHUNK_ELEMENTS, size - start);
      return buffer.encode(
        elements,
        (target) => this.#read(info, start * buffer.sourceBytes, target),
        this.#options.signal,
      );
    };
    let next: Promise<Uint8Array> | undefined;
    try {
      for (const [index, start] of starts.entries()) {
        const chunk = await (next ?? produce(0));
        next = index + 1 < starts.length ? produce(index + 1) : undefined;
        // If the writer fails, `finally` awaits this chunk; until then its rejection must not count as unhandled.
        next?.catch(() => {});
        yield chunk;
        const elements = Math.min(CHUNK_ELEMENTS, size - start);
        this.#options.onChunk(elements * elementBytes(info.type as QuantizeSource));
      }
    } finally {
      await next?.catch(() => {});
      for (const buffer of buffers) buffer.dispose();
    }
  }

  async #read(info: CheckpointTensor, offset: number, target: Uint8Array): Promise<void> {
    await info.file.readInto(target, info.position + offset, `tensor ${quote(info.name)}`, this.#options.signal);
  }
}

/** The memory of one chunk: its elements and its blocks. */
class ChunkBuffer {
  readonly sourceBytes: number;
  readonly #compute: Compute;
  readonly #from: QuantizeSource;
  readonly #to: QuantizeTarget;
  readonly #name: string;
  readonly #elements: Tensor<'i8'>;
  readonly #blocks: Tensor<'i8'>;

  constructor(compute: Compute, info: CheckpointTensor, to: QuantizeTarget, elements: number) {
    this.#compute = compute;
    this.#name = info.name;
    this.#from = info.type as QuantizeSource;
    this.#to = to;
    this.sourceBytes = elementBytes(this.#from);
    this.#elements = compute.pool.empty([elements * this.sourceBytes], 'i8');
    this.#blocks = compute.pool.empty([blocksBytes(to, elements)], 'i8');
  }

  async encode(
    elements: number,
    read: (target: Uint8Array) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const x = this.#elements.slice([0, elements * this.sourceBytes]);
    const out = this.#blocks.slice([0, blocksBytes(this.#to, elements)]);
    await read(x.asBytes());
    try {
      await this.#compute.call(quantizeBlocks, { x, from: this.#from, to: this.#to, out, signal });
    } catch (error) {
      if (!(error instanceof TesseraeError) || error.code !== 'ERR_ARGUMENT') throw error;
      const problem = 'has a value that is NaN, infinite, or too large';
      throw new TesseraeError('ERR_MODEL_FILE', `tensor ${quote(this.#name)} ${problem} for ${this.#to}`);
    }
    return out.asBytes();
  }

  dispose(): void {
    this.#elements.dispose();
    this.#blocks.dispose();
  }
}

function blocksBytes(type: QuantizeTarget, elements: number): number {
  const info = tensorTypes.get(tensorTypeCodes.get(type) as number);
  return tensorSizeBytes(info as NonNullable<typeof info>, [elements]) as number;
}
