// `tesserae top` against a small server of metrics: one sample as JSON and as text, live in a terminal, and what goes wrong.
import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { figuresOf, readMetrics, since } from '../../src/cli/top/read-metrics.js';
import { viewLines } from '../../src/cli/top/view.js';
import { Engine } from '../../src/engine.js';
import { bundledModelPath } from '../support/models/bundled-model.js';
import { runCli, runJson } from './run-cli.js';

let engine: Engine;
let server: Server;
let url: string;
/** What `/other` answers. */
const other = { status: 200, text: 'node_cpu 1\n' };

beforeAll(async () => {
  engine = await Engine.create({ threads: 2, memoryBudget: 2 ** 30 });
  const model = await engine.loadModel(bundledModelPath);
  await model.generate('The sea', { maxTokens: 8, ignoreEos: true }).result;
  server = createServer(async (request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(other.status).end(other.text);
    } else if (request.headers.authorization === 'Bearer wrong') {
      response.writeHead(401).end();
    } else {
      response.setHeader('content-type', 'text/plain; version=0.0.4').end(await engine.metrics());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  await engine.close();
});

test('one sample, as JSON and as text', async () => {
  const document = await runJson(['top', url]);
  expect(document).toMatchObject({
    url: `${url}/metrics`,
    isa: engine.isa,
    threads: 2,
    workers: 2,
    models: 1,
    requests: { queued: 0, running: 0, completed: 1, aborted: 0, failed: 0 },
    timeToFirstToken: { count: 1 },
    timeBetweenTokens: { count: 7 },
    errors: {},
  });
  expect(document.tokens.generated).toBe(8);
  expect(document.poolBytes.rented).toBe(engine.stats().pool.rentedBytes);
  expect(document.timeToFirstToken.p99Ms).toBeGreaterThan(0);
  const { code, stdout } = await runCli(['top', `${url}/metrics`]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^server +http.*\nrequests +0 running, 0 queued/);
  expect(stdout).toMatch(/^generated +8 tokens$/m);
  // It writes no control characters where there is no terminal.
  expect(stdout).not.toContain('\x1b');
});

test('mistakes and missing servers are one line', async () => {
  const { port } = new URL(url);
  for (const [args, code, message] of [
    [['top'], 2, /missing required argument 'url'/],
    [['top', 'localhost'], 2, /must be a URL/],
    [['top', 'ftp://localhost'], 2, /must be a URL/],
    [['top', url, '--interval', '0'], 2, /interval/],
    [['top', 'http://127.0.0.1:1/'], 1, /cannot be read: .*/],
    [['top', `http://127.0.0.1:${port}/other`], 1, /gives no metrics of tesserae/],
    [['top', url, '--api-key', 'wrong'], 1, /answers 401/],
  ] as const) {
    const result = await runCli(args);
    expect({ args, code: result.code, stdout: result.stdout }).toEqual({ args, code, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  }
});

test('it shows figures live in a terminal until it is interrupted', async () => {
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
  const command = `exec "${process.execPath}" "${main}" top ${url} --interval 0.1`;
  const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { stdio: 'pipe' });
  let screen = '';
  let interrupted = false;
  const ended = new Promise<number | null>((resolve) => terminal.on('close', resolve));
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text;
    // Three samples, then Ctrl-C.
    if (screen.split('\x1b[2J').length < 4 || interrupted) return;
    interrupted = true;
    terminal.stdin.write('\x03');
  });
  expect(await ended).toBe(0);
  expect(screen).toContain('tokens, 0/s');
  expect(screen.trimEnd().endsWith('\x1b[?25h\x1b[?1049l')).toBe(true);
});

const text = (count: number, generated: number) => `# TYPE tesserae_tokens_total counter
tesserae_tokens_total{kind="generated"} ${generated}
tesserae_requests{state="running"} 3
tesserae_time_to_first_token_seconds_bucket{le="0.1"} ${count}
tesserae_time_to_first_token_seconds_bucket{le="0.2"} ${2 * count}
tesserae_time_to_first_token_seconds_bucket{le="+Inf"} ${2 * count}
tesserae_errors_total{code="a \\"b\\" \\\\\x1b"} 2
a line that is none
`;

test('quantiles lie within their buckets, and counters of two samples are compared', () => {
  const [before, now] = [readMetrics(text(10, 100)), readMetrics(text(20, 160))];
  const figures = figuresOf(now);
  expect(figures.timeToFirstToken).toEqual({ count: 40, p50Ms: expect.closeTo(100), p99Ms: expect.closeTo(198) });
  const lately = figuresOf(since(before, now));
  expect(lately.tokens.generated).toBe(60);
  expect(lately.timeToFirstToken.count).toBe(20);
  expect(lately.requests.running).toBe(3);
  // A server that began anew counts from zero.
  expect(figuresOf(since(now, before)).tokens.generated).toBe(100);
  const lines = viewLines({ url: 'u', all: figures, lately: { figures: lately, seconds: 2 } });
  expect(lines).toContain('generated   160 tokens, 30.0/s');
  expect(lines).toContain('errors      a "b" \\? 2');
});
