// The folder of stored images of weights: finds the image of a model, checks it, and maps it; writes one. Only what belongs to
// this user, and nobody else may write to, is mapped. Called by stored-weights.ts.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Weight, Weights } from '../../architectures/architecture.js';
import { messageOf } from '../../base/describe.js';
import { TesseraeError } from '../../base/errors.js';
import { internal } from '../../base/internal.js';
import { checkPath, replaceFile } from '../../base/regular-file.js';
import { TimeSlice } from '../../base/time-slice.js';
import type { Compute } from '../../ops/calls/compute.js';
import { PackedMatrix } from '../../ops/matmul/pack.js';
import { imageOf } from '../../ops/matrix-image.js';
import { QuantizedMatrix } from '../../ops/quantized/quantized-matrix.js';
import type { DType } from '../../tensor/elements/dtype.js';
import type { MappedFile } from '../../tensor/memory/mapped-file.js';
import { bytesOf, storageOf, Tensor } from '../../tensor/tensor.js';
import { disposeWeights } from '../weights.js';
import { checksumsOf } from './checksum.js';
import { type ImagePlan, memoryShapeOf, type PlannedWeight } from './image-plan.js';

const folderMode = 0o700;
const fileMode = 0o400;
const modeBits = 0o777;
const chunkBytes = 8 << 20;

export class ImageFolder {
  readonly #path: string;
  readonly #compute: Compute;

  private constructor(path: string, compute: Compute) {
    this.#path = path;
    this.#compute = compute;
  }

  /** Makes the folder where there is none. @throws TesseraeError ERR_ARGUMENT unless it is this user's own, and in WebAssembly; ERR_FILE */
  static async open(path: unknown, compute: Compute, op: string): Promise<ImageFolder> {
    checkPath(path, 'the folder for images of weights', op);
    if (!compute.mapsFiles) {
      throw new TesseraeError('ERR_ARGUMENT', 'cache: images of weights cannot be mapped in WebAssembly', { op });
    }
    const stats = await systemCall(path, op, async () => {
      await mkdir(path, { recursive: true, mode: folderMode });
      return lstat(path);
    });
    if (!stats.isDirectory() || !isOwn(stats) || (stats.mode & modeBits) !== folderMode) {
      const message = `cache: ${path} is not a folder of this user alone (mode 0700)`;
      throw new TesseraeError('ERR_ARGUMENT', message, { op });
    }
    return new ImageFolder(path, compute);
  }

  /**
   * The weights of a stored image, if there is one and it is whole. One that is not is removed.
   * @throws TesseraeError ERR_BUDGET for the small tensors that are not mapped; AbortError
   */
  async find(plan: ImagePlan, signal: AbortSignal | undefined): Promise<Weights | undefined> {
    const path = join(this.#path, plan.fileName);
    let handle: FileHandle;
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
    try {
      const stats = await handle.stat();
      const isTrusted = stats.isFile() && isOwn(stats) && (stats.mode & modeBits) === fileMode;
      if (!isTrusted) return undefined;
      const weights = stats.size === plan.sizeBytes ? await this.#read(handle, plan, signal) : undefined;
      if (weights === undefined) await rm(path, { force: true });
      return weights;
    } finally {
      await handle.close();
    }
  }

  /**
   * Stores weights, and gives them back as parts of the mapped image. Those that were given are disposed then.
   * @throws Error of the system, with the given weights as they were; AbortError
   */
  async keep(plan: ImagePlan, weights: Weights, signal: AbortSignal | undefined): Promise<Weights> {
    const timeSlice = new TimeSlice(signal);
    let kept: Weights | undefined;
    await replaceFile(join(this.#path, plan.fileName), async (handle) => {
      await writeAll(handle, plan.header, 0);
      for (const planned of plan.weights) {
        const memory = memoryOf(weights.get(planned.spec.name) as Weight);
        for (let at = 0; at < planned.placement.sizeBytes; at += chunkBytes) {
          timeSlice.throwIfAborted();
          const bytes = Math.min(chunkBytes, planned.placement.sizeBytes - at);
          await writeAll(handle, bytesOf(memory, at, bytes), planned.position + at);
        }
      }
      await handle.truncate(plan.sizeBytes);
      const mapping = this.#compute.mapFile(handle.fd, plan.end);
      try {
        const sums = await this.#checksums(mapping, plan, signal);
        await writeAll(handle, new Uint8Array(sums.buffer), plan.end);
        await handle.chmod(fileMode);
        kept = await this.#weightsOf(handle, mapping, plan);
      } finally {
        mapping.close();
      }
    }).catch((error) => {
      if (kept !== undefined) disposeWeights(kept);
      throw error;
    });
    disposeWeights(weights);
    return kept as unknown as Weights;
  }

  async #read(handle: FileHandle, plan: ImagePlan, signal: AbortSignal | undefined): Promise<Weights | undefined> {
    const header = await readBytes(handle, 0, plan.header.length);
    if (!header.equals(plan.header)) return undefined;
    const mapping = this.#compute.mapFile(handle.fd, plan.end);
    try {
      const sums = await this.#checksums(mapping, plan, signal);
      const stored = await readBytes(handle, plan.end, plan.sizeBytes - plan.end);
      return stored.equals(new Uint8Array(sums.buffer)) ? await this.#weightsOf(handle, mapping, plan) : undefined;
    } finally {
      mapping.close();
    }
  }

  async #checksums(mapping: MappedFile, plan: ImagePlan, signal: AbortSignal | undefined): Promise<Int32Array> {
    const { start, end } = plan;
    using bytes = tensorOf(mapping, { position: start, sizeBytes: end - start, dtype: 'i8', shape: [end - start] });
    return checksumsOf(this.#compute, bytes, signal);
  }

  async #weightsOf(handle: FileHandle, mapping: MappedFile, plan: ImagePlan): Promise<Weights> {
    const weights = new Map<string, Weight>();
    try {
      for (const planned of plan.weights) {
        weights.set(
          planned.spec.name,
          planned.isMapped ? mapped(mapping, planned) : await this.#copied(handle, planned),
        );
      }
      return weights;
    } catch (error) {
      disposeWeights(weights);
      throw error;
    }
  }

  /** A small weight, in pooled memory. */
  async #copied(handle: FileHandle, planned: PlannedWeight): Promise<Weight> {
    const { position, placement } = planned;
    const memory = this.#compute.pool.empty(memoryShapeOf(planned), dtypeOf(planned));
    try {
      memory.asBytes().set(await readBytes(handle, position, placement.sizeBytes));
      return weightOf(planned, memory);
    } catch (error) {
      memory[Symbol.dispose]();
      throw error;
    }
  }
}

/** Whether all weights are as the plan has them: where memory was short, matrices stay as the file has them. */
export function isAsPlanned(plan: ImagePlan, weights: Weights): boolean {
  return plan.weights.every(({ spec, placement }) => {
    const weight = weights.get(spec.name);
    return weight !== undefined && memoryOf(weight).sizeBytes === placement.sizeBytes;
  });
}

/** Bytes of weights that are mapped. */
export function mappedBytesOf(weights: Weights): number {
  let bytes = 0;
  for (const weight of weights.values()) {
    const { buffer, sizeBytes } = storageOf(memoryOf(weight));
    if (buffer === undefined) bytes += sizeBytes;
  }
  return bytes;
}

function memoryOf(weight: Weight): Tensor {
  return weight instanceof Tensor ? weight : imageOf(weight);
}

function mapped(mapping: MappedFile, planned: PlannedWeight): Weight {
  const { position, placement } = planned;
  const part = { position, sizeBytes: placement.sizeBytes, dtype: dtypeOf(planned), shape: memoryShapeOf(planned) };
  return weightOf(planned, tensorOf(mapping, part));
}

interface Part {
  readonly position: number;
  readonly sizeBytes: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

function tensorOf(mapping: MappedFile, { position, sizeBytes, dtype, shape }: Part): Tensor {
  return new Tensor(internal, { dtype, shape, storage: mapping.storage(position, sizeBytes) });
}

function weightOf({ placement, tensor }: PlannedWeight, memory: Tensor): Weight {
  if (placement.kind === 'read') return memory;
  if (placement.kind === 'quantized') {
    return new QuantizedMatrix(internal, placement.type, placement.shape, memory as Tensor<'i8'>);
  }
  return new PackedMatrix(internal, [...tensor.shape].reverse(), memory);
}

function dtypeOf({ placement }: PlannedWeight): DType {
  return placement.kind === 'quantized' ? 'i8' : placement.dtype;
}

function isOwn(stats: Stats): boolean {
  return stats.uid === process.getuid?.();
}

async function readBytes(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}

async function systemCall<T>(path: string, op: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw new TesseraeError('ERR_FILE', `${path}: cannot be made: ${messageOf(cause)}`, { op, cause });
  }
}
