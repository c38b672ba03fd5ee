// The command is ended from outside: by Ctrl-C, by a termination, by a reader that closes the pipe.
import { expect, test } from 'vitest';
import { modelFiles, tiny } from '../support/models/model-files.js';
import { runCli } from './run-cli.js';

const write = modelFiles();

/** A generation that takes longer than the ending from outside, however late that comes. */
async function long(): Promise<string[]> {
  const model = await write({ ...tiny, context: 1 << 17 });
  return ['generate', 'a', '--model', model, '--max-tokens', '100000', '--ignore-eos'];
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a generation at once, with exit code %i', async (signal, code) => {
  const result = await runCli(await long(), { onFirstOutput: (child) => child.kill(signal) });
  expect(result).toMatchObject({ code, signal: null, stderr: '' });
});

test('a reader that closes the pipe is no failure', async () => {
  const result = await runCli(await long(), { onFirstOutput: (child) => child.stdout?.destroy() });
  expect(result).toMatchObject({ code: 0, signal: null, stderr: '' });
});
