// Reads single tensors of an open GGUF file, as bytes. Used by tests and their oracles.
import type { GgufFile, GgufTensorInfo } from '../../../src/checkpoint/gguf/gguf-file.js';

/** The tensor of that name, which must be in the file. */
export function tensorOf(file: GgufFile, name: string): GgufTensorInfo {
  const info = file.tensors.get(name);
  if (info === undefined) throw new Error(`${file.path} has no tensor ${name}`);
  return info;
}

/** Fills `target`, which may be shared memory, with the tensor's bytes. */
export async function readTensorInto(
  { file, dataOffset }: GgufFile,
  { name, offset }: GgufTensorInfo,
  target: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  await file.readInto(target, dataOffset + offset, `tensor "${name}"`, signal);
}

/** The tensor's bytes, in memory of their own. */
export async function tensorBytes(file: GgufFile, info: GgufTensorInfo): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(info.sizeBytes);
  await readTensorInto(file, info, bytes);
  return bytes;
}
