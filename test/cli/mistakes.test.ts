// A user's mistakes: one clear line on stderr, the right exit code, nothing on stdout, no stack trace.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { type CliOptions, runCli } from './run-cli.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-cli-'));
  const model = readFileSync(bundledModelPath);
  writeFileSync(join(folder, 'truncated.gguf'), model.subarray(0, model.length - 1000));
  writeFileSync(join(folder, 'header.gguf'), model.subarray(0, 1000));
  writeFileSync(join(folder, 'text.gguf'), 'no model at all\nbut text\n');
  writeFileSync(join(folder, 'latin1.txt'), Buffer.from([0x63, 0x61, 0x66, 0xe9]));
  writeFileSync(join(folder, 'empty.txt'), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function expectOneLine(args: readonly string[], code: number, message: RegExp, options?: CliOptions) {
  const result = await runCli(args, options);
  expect(result).toMatchObject({ code, signal: null, stdout: '' });
  expect(result.stderr).toMatch(/^tesserae: .*\n$/);
  expect(result.stderr).toMatch(message);
}

describe('bad usage, exit code 2', () => {
  test.each([
    ['an unknown command', ['nonsense'], /unknown command 'nonsense'/],
    ['an unknown option', ['generate', '--nope'], /unknown option '--nope'/],
    ['an unknown option before the command', ['--nope', 'info'], /unknown option '--nope'/],
    ['too many arguments', ['generate', 'a', 'b'], /too many arguments/],
    ['an option without its value', ['generate', 'a', '--seed'], /--seed/],
    ['an unknown suite', ['bench', 'nonsense'], /'nonsense' is invalid.*matmul, attention/],
    ['an unknown shape', ['bench', 'matmul', '--shape', 'attention_512'], /matmul has no shape 'attention_512'/],
    ['a shape for a suite without shapes', ['bench', 'latency', '--shape', 'square_64'], /--shape goes with/],
    ['rounds for a suite without rounds', ['bench', 'allocations', '--rounds', '3'], /allocations has no --rounds/],
    ['a model for another suite', ['bench', 'matmul', '--model', 'x'], /--model goes with the suite model/],
    ['peers for another suite', ['bench', 'matmul', '--peers'], /--peers without a file goes with the suite model/],
    ['a profile of another suite', ['bench', 'matmul', '--profile'], /--profile goes with the suite model/],
    ['a type without a shape', ['bench', 'model', '--type', 'q8_0'], /--type goes with the suite model and --shape/],
    ['two sizes of files', ['bench', 'serving', '--model', 'x', '--type', 'f16'], /--type and --model exclude/],
    [
      'requests at once elsewhere',
      ['bench', 'model', '--concurrency', '8'],
      /--concurrency goes with the suite serving/,
    ],
    ['a first look at matmul', ['bench', 'matmul', '--quick'], /--quick goes with the suite serving/],
    ['no requests at once', ['bench', 'serving', '--concurrency', '8', '0'], /--concurrency.*whole number/],
    ['a folder for another suite', ['bench', 'latency', '--folder', 'x'], /--folder goes with/],
    ['a shape and a model', ['bench', 'model', '--shape', '135m', '--model', 'x'], /exclude each other/],
    ['an unknown model shape', ['bench', 'model', '--shape', '7b'], /model has no shape '7b'/],
    ['an unknown type', ['bench', 'model', '--shape', '135m', '--type', 'q9'], /'q9' is invalid.*q8_0/],
    ['a number that is none', ['generate', 'a', '--max-tokens', '1e2'], /--max-tokens.*whole number/],
    ['an empty number', ['generate', 'a', '--temperature', ''], /--temperature.*number/],
    ['a negative temperature', ['generate', 'a', '--temperature=-1'], /--temperature.*at least 0/],
    ['a probability over 1', ['generate', 'a', '--top-p', '1.5'], /--top-p.*from 0 to 1/],
    ['a bias without a token', ['generate', 'a', '--logit-bias', 'x'], /--logit-bias.*like 42=-1.5/],
    ['a bias for no token', ['generate', 'a', '--logit-bias', '99999=1'], /logitBias must be the id of a token/],
    ['an empty stop sequence', ['generate', 'a', '--stop', ''], /stop must be/],
    ['log probabilities as text', ['generate', 'a', '--logprobs', '1'], /--logprobs goes with --json/],
    ['no continuation', ['generate', 'a', '--n', '0'], /--n.*at least 1/],
    ['no thread', ['info', '--threads', '0'], /--threads.*at least 1/],
    ['too many threads', ['info', '--threads', '100000'], /threads may be \d+ at most/],
    ['an unknown pooling', ['embed', 'a', '--pooling', 'max'], /Allowed choices are mean, last, first/],
    ['no file', ['perplexity'], /missing required argument 'file'/],
    ['nothing to embed', ['embed'], /no text to embed/],
  ])('%s', async (_what, args, message) => {
    await expectOneLine(args, 2, message);
  });

  test('an environment variable with an invalid value', async () => {
    await expectOneLine(
      ['info'],
      2,
      /TESSERAE_ISA must be one of ref, portable, avx2, avx_vnni, avx512_floats, avx512, neon, neon_dot, neon_i8mm/,
      {
        env: { TESSERAE_ISA: 'mmx' },
      },
    );
  });

  test('no command: the help, on stderr', async () => {
    const { code, stdout, stderr } = await runCli([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: tesserae');
  });
});

describe('failures, exit code 1', () => {
  test.each([
    ['an absent model', (at: string) => ['generate', 'a', '--model', join(at, 'absent.gguf')], /absent.gguf.*ENOENT/],
    ['a directory', (at: string) => ['generate', 'a', '--model', at], /it is a directory/],
    ['a file that is no model', (at: string) => ['info', join(at, 'text.gguf')], /text.gguf: not a GGUF file/],
    ['a model cut in its header', (at: string) => ['info', join(at, 'header.gguf')], /header.gguf/],
    ['a model cut in its tensors', (at: string) => ['embed', 'a', '--model', join(at, 'truncated.gguf')], /truncated/],
    ['an absent text', (at: string) => ['perplexity', join(at, 'absent.txt')], /absent.txt: cannot be read: ENOENT/],
    ['a folder as text', (at: string) => ['perplexity', at], /cannot be read: EISDIR/],
    ['a text that is no UTF-8', (at: string) => ['perplexity', join(at, 'latin1.txt')], /is not valid UTF-8/],
    ['a prompt over the context', () => ['generate', 'word '.repeat(2000)], /does not fit into a context of 512/],
    ['a benchmark of no model', (at: string) => ['bench', 'model', '--model', join(at, 'text.gguf')], /not a GGUF/],
  ])('%s', async (_what, args, message) => {
    await expectOneLine(args(folder), 1, message);
  });
});
