// Gets llama.cpp and the vocabularies ready before the first parity test: once, since the test files run side by side.
import { prepareLlama } from '../../bench/llama/install.js';
import { installVocabularies } from './vocabularies.js';

export default async function prepare(): Promise<void> {
  const onProgress = (text: string) => process.stderr.write(`${text}\n`);
  await prepareLlama(onProgress);
  await installVocabularies(onProgress);
}
