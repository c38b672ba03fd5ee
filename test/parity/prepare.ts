// Gets llama.cpp ready before the first parity test: once, since the test files run side by side.
import { prepareLlama } from '../../bench/llama/install.js';

export default async function prepare(): Promise<void> {
  await prepareLlama((text) => process.stderr.write(`${text}\n`));
}
