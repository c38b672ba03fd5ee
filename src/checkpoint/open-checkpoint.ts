// Chooses the reader for a path: a folder is read as Hugging Face's, anything else as GGUF. Called by loadModel.
import { stat } from 'node:fs/promises';
import type { Checkpoint, OpenCheckpointOptions } from './checkpoint.js';
import { openGgufCheckpoint } from './gguf/gguf-checkpoint.js';
import { openHuggingFaceCheckpoint } from './huggingface/huggingface-checkpoint.js';

/**
 * Opens the model at a path: a GGUF file, any part of a split one, or a Hugging Face folder.
 * @throws TesseraeError ERR_FILE, ERR_MODEL_FILE, ERR_UNSUPPORTED, ERR_ARGUMENT; AbortError
 */
export async function openCheckpoint(path: string, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const isFolder = typeof path === 'string' && (await stat(path).catch(() => undefined))?.isDirectory() === true;
  return isFolder ? openHuggingFaceCheckpoint(path, options) : openGgufCheckpoint(path, options);
}
