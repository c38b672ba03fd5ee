// The command is ended from outside: by Ctrl-C, by a termination, by a reader that closes the pipe.
import { expect, test } from 'vitest';
import { runCli } from './run-cli.js';

const long = ['generate', 'The people', '--max-tokens', '500', '--ignore-eos'];

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a generation at once, with exit code %i', async (signal, code) => {
  const result = await runCli(long, { onFirstOutput: (child) => child.kill(signal) });
  expect(result).toMatchObject({ code, signal: null, stderr: '' });
});

test('a reader that closes the pipe is no failure', async () => {
  const result = await runCli(long, { onFirstOutput: (child) => child.stdout?.destroy() });
  expect(result).toMatchObject({ code: 0, signal: null, stderr: '' });
});
