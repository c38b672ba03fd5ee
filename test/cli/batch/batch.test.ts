// `tesserae batch`: what each line gives, exit codes, what is refused, and batches that are killed, cut off or short of disk
// space at any point, which go on to the same bytes.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine.js';
import { bundledModelPath } from '../../support/models/bundled-model.js';
import { temporaryFolder } from '../../support/temporary-folder.js';
import { runCli } from '../run-cli.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const main = fileURLToPath(new URL('../../../dist/src/cli/main.js', import.meta.url));

function write(name: string, lines: readonly unknown[]): string {
  const path = folder.file(name);
  writeFileSync(path, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''));
  return path;
}

// biome-ignore lint/suspicious/noExplicitAny: lines of many kinds.
const linesOf = (text: string): any[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('lines', () => {
  const input = [
    { custom_id: 'prompt', prompt: 'The whale' },
    { custom_id: 'text', text: 'the sea' },
    '   ',
    { custom_id: 'messages', messages: [{ role: 'user', content: 'Hello' }], options: { template: 'Hello' } },
    'no JSON',
    '[]',
    { custom_id: 'completion', url: '/v1/completions', body: { model: 'any', prompt: 'The sea', max_tokens: 4 } },
    { custom_id: 'embedding', body: { input: ['the sea', 'the tax'], encoding_format: 'base64' } },
    { custom_id: 'unknown field', body: { prompt: 'a', best_effort: true } },
    { custom_id: 'too long', prompt: Array.from({ length: 600 }, () => 5) },
    { custom_id: 7, prompt: 'a' },
    { custom_id: 'deadline', prompt: 'a', options: { deadlineMs: 1 } },
    { custom_id: 'nothing' },
    { prompt: 'Its own options', options: { maxTokens: 2 } },
  ];
  let path: string;
  let output: string;

  beforeAll(async () => {
    path = write('kinds.jsonl', input);
    const args = ['batch', path, '-o', folder.file('kinds-out.jsonl'), '--max-tokens', '6', '--threads', '1'];
    const result = await runCli(args);
    expect(result).toMatchObject({ code: 3, stdout: '' });
    expect(result.stderr).toMatch(/^13 lines, 7 with errors; [\d.]+ s\n$/);
    output = readFileSync(folder.file('kinds-out.jsonl'), 'utf8');
  });

  test('give what the model gives', async () => {
    await using engine = await Engine.create({ threads: 1 });
    const model = await engine.loadModel(bundledModelPath);
    const { timings, tokensPerSecond, ...generated } = await model.generate('The whale', { maxTokens: 6, seed: 0 })
      .result;
    const vectors = await model.embed(['the sea', 'the tax']);
    const byId = new Map(linesOf(output).map((line) => [line.custom_id ?? line.index, line]));
    expect(byId.get('prompt')).toMatchObject({ index: 0, response: generated, error: null });
    expect(byId.get('text').response).toEqual({ vector: Array.from(vectors[0] as Float32Array) });
    expect(byId.get('messages').response.tokens).toHaveLength(6);
    const completion = await model.generate('The sea', { maxTokens: 4 }).result;
    expect(byId.get('completion').response).toMatchObject({
      status_code: 200,
      body: {
        object: 'text_completion',
        created: 0,
        choices: [{ index: 0, text: completion.text, finish_reason: 'length' }],
        usage: { completion_tokens: 4, prompt_tokens: completion.promptTokens },
      },
    });
    const [first] = byId.get('embedding').response.body.data;
    expect(first).toEqual({
      object: 'embedding',
      index: 0,
      embedding: Buffer.from((vectors[0] as Float32Array).buffer).toString('base64'),
    });
    expect(byId.get(12).response.tokens).toHaveLength(2);
  });

  test('have errors of their own, ids of their own, and nothing of the moment', async () => {
    const lines = linesOf(output);
    expect(lines.map(({ index }) => index)).toEqual(lines.map((_, i) => i));
    expect(new Set(lines.map(({ id }) => id)).size).toBe(lines.length);
    for (const line of lines) {
      expect(Object.keys(line)).toEqual(['id', 'custom_id', 'index', 'response', 'error']);
      expect((line.response === null) !== (line.error === null)).toBe(true);
    }
    expect(lines.filter(({ error }) => error !== null).map(({ custom_id, error }) => [custom_id, error])).toEqual([
      [null, { code: 'ERR_ARGUMENT', message: 'the line is not valid JSON' }],
      [null, { code: 'ERR_ARGUMENT', message: 'the line is not a JSON object' }],
      ['unknown field', { code: 'ERR_ARGUMENT', message: 'best_effort is not supported' }],
      ['too long', { code: 'ERR_CONTEXT', message: expect.any(String) }],
      [null, { code: 'ERR_ARGUMENT', message: 'custom_id must be a string' }],
      ['deadline', { code: 'ERR_ARGUMENT', message: 'a line cannot have the option deadlineMs' }],
      ['nothing', { code: 'ERR_ARGUMENT', message: expect.stringContaining('prompt, text, messages or body') }],
    ]);
    const again = await runCli(['batch', path, '--max-tokens', '6', '--threads', '3']);
    expect(again.stdout).toBe(output);
  });
});

test('standard input and output, lines of text, and seeds that go up with the lines', async () => {
  const options = ['--text', '--max-tokens', '5', '--temperature', '1', '--seed', '7', '--threads', '1'];
  const { code, stdout } = await runCli(['batch', '-', ...options], { stdin: 'The sea\r\n\nThe law' });
  expect(code).toBe(0);
  const lines = linesOf(stdout);
  await using engine = await Engine.create({ threads: 1 });
  const model = await engine.loadModel(bundledModelPath);
  for (const [i, prompt] of ['The sea', 'The law'].entries()) {
    const { text } = await model.generate(prompt, { maxTokens: 5, temperature: 1, seed: 7 + i }).result;
    expect(lines[i]).toMatchObject({ index: i, custom_id: null, response: { text, seed: 7 + i } });
  }
});

describe('a batch that is interrupted', () => {
  const count = 120;
  const options = ['--max-tokens', '24', '--temperature', '1', '--seed', '3', '--threads', '1'];
  const out = folder.file('out.jsonl');
  const state = `${out}.state.json`;
  let input: string;
  let expected: string;
  const resume = () => runCli(['batch', input, '-o', out, '--resume', ...options]);
  const sizeOf = () => statSync(out, { throwIfNoEntry: false })?.size ?? 0;

  beforeAll(async () => {
    input = write(
      'many.jsonl',
      Array.from({ length: count }, (_, i) => (i % 10 === 9 ? 'broken' : { custom_id: `${i}`, prompt: `The ${i}` })),
    );
    const whole = folder.file('whole.jsonl');
    expect(await runCli(['batch', input, '-o', whole, ...options])).toMatchObject({ code: 3 });
    expected = readFileSync(whole, 'utf8');
    expect(linesOf(expected)).toHaveLength(count);
  });

  const clear = () => {
    for (const file of [out, state]) rmSync(file, { force: true });
  };

  test('by SIGKILL, goes on to the same bytes', { timeout: 120_000 }, async () => {
    clear();
    for (const share of [Math.random() / 3, 1 / 3 + Math.random() / 3, 2 / 3 + Math.random() / 3]) {
      const args = [main, 'batch', input, '-o', out, '--resume', ...options];
      const child = spawn(process.execPath, args, { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      while (sizeOf() < share * expected.length && child.exitCode === null) await sleep(1);
      child.kill('SIGKILL');
      await ended;
      const written = readFileSync(out, 'utf8');
      expect(written).toBe(expected.slice(0, written.length));
    }
    expect(await resume()).toMatchObject({ code: 3 });
    expect(readFileSync(out, 'utf8')).toBe(expected);
    expect((await resume()).stderr).toMatch(/^120 lines, 12 with errors/);
    expect(readFileSync(out, 'utf8')).toBe(expected);
  });

  test('within a line, goes on from its beginning', async () => {
    for (const bytes of [
      expected.indexOf('\n') + 1,
      expected.length - 1,
      Math.floor(Math.random() * expected.length),
    ]) {
      truncateSync(out, bytes);
      expect(await resume()).toMatchObject({ code: 3 });
      expect(readFileSync(out, 'utf8')).toBe(expected);
    }
  });

  test('by a full disk, says so in one line, and goes on', () => {
    clear();
    // Files may have 8 KiB at most; without the signal, writing more fails as on a full disk.
    const script = `ulimit -f 8; trap '' XFSZ; exec "$@"`;
    const args = ['-c', script, 'sh', process.execPath, main, 'batch', input, '-o', out, ...options];
    const full = spawnSync('bash', args, { encoding: 'utf8' });
    expect(full).toMatchObject({ status: 1, stdout: '' });
    expect(full.stderr).toMatch(/^tesserae: .*out\.jsonl: EFBIG[^\n]*\n$/);
    expect(sizeOf()).toBeLessThanOrEqual(8192);
    const rest = spawnSync(process.execPath, [main, 'batch', input, '-o', out, '--resume', ...options]);
    expect(rest.status).toBe(3);
    expect(readFileSync(out, 'utf8')).toBe(expected);
  });

  test('is not resumed where it has changed', async () => {
    const other = write('other.jsonl', [{ prompt: 'a' }]);
    const cases: [string[], RegExp][] = [
      [['batch', input, '-o', out, ...options], /exists: --resume continues it/],
      [['batch', other, '-o', out, '--resume', ...options], /this has changed: the input/],
      [['batch', input, '-o', out, '--resume', ...options.slice(2)], /this has changed: --max-tokens/],
      [['batch', input, '-o', out, '--resume', ...options, '--text'], /this has changed: --text/],
    ];
    for (const [args, message] of cases) {
      const result = await runCli(args);
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expect(result.stderr).toMatch(message);
    }
    rmSync(state);
    expect((await resume()).stderr).toMatch(/state\.json is missing/);
    expect(readFileSync(out, 'utf8')).toBe(expected);
  });
});

test('a terminal shows lines, rate and time left, and the result at the end', async () => {
  const prompts = Array.from({ length: 60 }, (_, i) => ({ custom_id: `${i}`, prompt: `The ${i}` }));
  const input = write('terminal.jsonl', prompts);
  const command = `exec "${process.execPath}" "${main}" batch ${input} -o ${folder.file('terminal-out.jsonl')} --threads 1`;
  const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { stdio: 'pipe' });
  let screen = '';
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
  });
  expect(await new Promise((resolve) => terminal.once('close', resolve))).toBe(0);
  expect(screen).toMatch(/batch: \[#+\.*\] \d+ of 60 lines, [\d.]+ lines\/s, \d+ s left/);
  expect(screen).toMatch(/60 lines, 0 with errors; [\d.]+ s\r?\n$/);
});

describe('an output that another process', () => {
  const options = ['--max-tokens', '16', '--temperature', '1', '--threads', '1'];
  const out = folder.file('shared.jsonl');
  const lock = `${out}.lock`;
  let input: string;
  let expected: string;
  const resume = () => runCli(['batch', input, '-o', out, '--resume', ...options]);
  const start = () => {
    const child = spawn(process.execPath, [main, 'batch', input, '-o', out, '--resume', ...options], { stdio: 'pipe' });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, stderr })),
    );
    return { child, ended };
  };
  beforeAll(async () => {
    const prompts = Array.from({ length: 40 }, (_, i) => ({ custom_id: `${i}`, prompt: `The ${i}` }));
    input = write('shared-in.jsonl', prompts);
    expected = (await runCli(['batch', input, ...options])).stdout;
    expect(linesOf(expected)).toHaveLength(40);
  });

  test('writes is refused, and its own to the byte', async () => {
    const first = start();
    while (!existsSync(lock) || readFileSync(lock, 'utf8') === '') await sleep(1);
    first.child.kill('SIGSTOP');
    const second = await resume();
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toBe(`tesserae: ${out} is in use by process ${first.child.pid}: its lock is ${lock}\n`);
    first.child.kill('SIGCONT');
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(expected);
    expect(existsSync(lock)).toBe(false);
    rmSync(out);
  });

  test('had when it died is taken over, by one of those that come at once', async () => {
    const dead = start();
    while (!existsSync(lock) || readFileSync(lock, 'utf8') === '') await sleep(1);
    dead.child.kill('SIGKILL');
    await dead.ended;
    expect(existsSync(lock)).toBe(true);
    const both = [start(), start()];
    const endings = await Promise.all(both.map(({ ended }) => ended));
    // The later one may find the output complete and free.
    for (const { code, stderr } of endings) if (code !== 0) expect(stderr).toMatch(/^tesserae: .*is in use by process/);
    expect(endings.some(({ code }) => code === 0)).toBe(true);
    expect(readFileSync(out, 'utf8')).toBe(expected);
    expect(existsSync(lock)).toBe(false);
  });

  test.each([
    ['had with an id that another program has now', { pid: process.pid, host: hostname(), started: '1' }, 0],
    ['has left as it made its lock', '', 0],
  ])('%s', async (_what, holder, code) => {
    writeFileSync(lock, holder === '' ? '' : JSON.stringify(holder));
    expect((await resume()).code).toBe(code);
    rmSync(lock, { force: true });
  });
});

test.each([
  [['-', '--resume', '-o', folder.file('x')], 2, /--resume needs a file/],
  [[folder.file('gone'), '--resume'], 2, /--resume needs a file/],
  [[folder.file('gone'), '--json'], 2, /--json needs -o/],
  [[folder.file('gone'), '--kind', 'embed', '--seed', '1'], 2, /no effect on --kind embed/],
  [[folder.file('kinds.jsonl'), '-o', folder.file('kinds.jsonl')], 2, /the output is the input/],
  [[folder.file('gone')], 1, /gone: ENOENT/],
  [[folder.file('kinds.jsonl'), '-o', folder.file('none/out')], 1, /ENOENT/],
  [[folder.file('kinds.jsonl'), '--model', folder.file('gone')], 1, /gone/],
])('%j is a mistake', async (args, code, message) => {
  const result = await runCli(['batch', ...args]);
  expect(result).toMatchObject({ code, stdout: '' });
  expect(result.stderr).toMatch(message);
  expect(result.stderr.split('\n')).toHaveLength(2);
});
