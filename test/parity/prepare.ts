// Installs llama.cpp and the vocabularies before the first parity test: once, because the test files run in parallel.
import { prepareLlama } from '../../bench/llama/install.js';
import { installVocabularies } from './vocabularies.js';

export default async function prepare(): Promise<void> {
  const onProgress = (text: string) => process.stderr.write(`${text}\n`);
  await prepareLlama(onProgress);
  await installVocabularies(onProgress);
}
