// Many clients at once, good and bad ones, on a server in a process of its own: it must not crash, answer all good ones, and
// have nothing left of the bad ones.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { post, until } from '../running-server.js';

const key = 'storm';
const path = fileURLToPath(new URL('storm-server.mjs', import.meta.url));
const proberPath = fileURLToPath(new URL('storm-prober.mjs', import.meta.url));
const authorization = { authorization: `Bearer ${key}` };
const messages = [{ role: 'user', content: 'The history of the sea' }];
const wish = { messages, temperature: 0, max_tokens: 24, stream: true };

let child: ChildProcess;
let url: string;
let exited: number | null | undefined;

interface Figures {
  readonly pressure: { queued: number; running: number; pagesUsed: number; pagesCached: number };
  readonly requests: number;
  readonly rentedBytes: number;
  readonly heapBytes: number;
  readonly delayP99Ms: number;
}

beforeAll(async () => {
  child = fork(path, [key], { execArgv: ['--expose-gc'] });
  child.on('exit', (code) => {
    exited = code;
  });
  [{ url }] = (await once(child, 'message')) as [{ url: string }];
});
afterAll(() => child.kill('SIGKILL'));

async function figures(): Promise<Figures> {
  child.send('figures');
  return ((await once(child, 'message')) as [Figures])[0];
}

/** Resolves to the text of a stream. */
async function stream(): Promise<string> {
  const reply = await post(`${url}/v1/chat/completions`, wish, authorization);
  return `${reply.status} ${await reply.text()}`;
}

/** A stream that is left after some of its bytes. */
async function vanish(afterMs: number): Promise<void> {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), afterMs);
  const body = { ...wish, max_tokens: 400 };
  await post(`${url}/v1/chat/completions`, body, authorization, stop.signal)
    .then((reply) => reply.text())
    .catch(() => {});
}

function openSocket(): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => {});
  return socket;
}

function rawPost(body: string, length = body.length): string {
  const head = ['POST /v1/chat/completions HTTP/1.1', 'Host: localhost', `Authorization: Bearer ${key}`];
  return `${[...head, 'Content-Type: application/json', `Content-Length: ${length}`].join('\r\n')}\r\n\r\n${body}`;
}

/** A stream that is read a few hundred bytes at a time, with pauses, and then left unread. */
async function readSlowly(): Promise<void> {
  const socket = openSocket();
  socket.write(rawPost(JSON.stringify({ ...wish, max_tokens: 300, logprobs: true, top_logprobs: 20 })));
  socket.pause();
  for (let i = 0; i < 30; i++) {
    socket.read(300);
    await sleep(50);
  }
  socket.destroy();
}

/** A request that comes so slowly that it never ends: the server must close the connection. */
async function slowLoris(text: string): Promise<void> {
  const socket = openSocket();
  socket.resume();
  // Not `once` of node:events, which rejects where an error comes before.
  const closed = new Promise((resolve) => socket.once('close', resolve));
  for (const character of text) {
    if (socket.destroyed) break;
    socket.write(character);
    await sleep(100);
  }
  await closed;
}

const malformed = [
  '',
  '{',
  'null',
  '[]',
  '"text"',
  '{"messages":5}',
  '{"messages":[]}',
  '{"messages":[5]}',
  '{"messages":[{"role":5}]}',
  '{"messages":[{"role":"user","content":{"a":1}}],"model":5}',
  `${'['.repeat(100_000)}`,
  `{"messages":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  '{"messages":[{"role":"user","content":"a"}],"tools":{"__proto__":{}}}',
  '{"__proto__":{"stream":true},"messages":[{"role":"user","content":"a"}],"max_tokens":-1}',
  '{"messages":[{"role":"user","content":"\\ud800"}]}',
  '{"messages":[{"role":"user","content":"a"}],"logit_bias":{"5":1e9}}',
  '{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#"}}}}',
];

async function statusOf(body: string, headers: Record<string, string> = authorization): Promise<number> {
  const reply = await post(`${url}/v1/chat/completions`, body, headers);
  await reply.text();
  return reply.status;
}

async function storm() {
  const prober = fork(proberPath, [url]);
  const probed = once(prober, 'message') as Promise<[number[]]>;
  const good = Promise.all(Array.from({ length: 150 }, () => stream()));
  const statuses = Promise.all(malformed.map((body) => statusOf(body)));
  const wrongKeys = Promise.all(Array.from({ length: 20 }, (_, i) => statusOf('{}', { authorization: `Bearer ${i}` })));
  const large = Promise.all(
    Array.from({ length: 5 }, () => statusOf('x'.repeat(10 * 2 ** 20)).catch((error: Error) => error.message)),
  );
  const bad = [
    ...Array.from({ length: 50 }, (_, i) => vanish(20 * i)),
    ...Array.from({ length: 20 }, () => readSlowly()),
    ...Array.from({ length: 20 }, () => slowLoris(rawPost('{}'))),
    ...Array.from({ length: 10 }, () => slowLoris(`GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(200)}`)),
  ];
  const outcomes = { texts: await good, statuses: await statuses, wrongKeys: await wrongKeys, large: await large };
  await Promise.all(bad);
  prober.send('stop');
  const [health] = await probed;
  return { ...outcomes, healthP99Ms: health[Math.floor(0.99 * health.length)] as number, checks: health.length };
}

test('200 streams, clients that vanish, read slowly, send nonsense, too much, or never finish', async () => {
  const before = await figures();
  const { texts, statuses, wrongKeys, large, healthP99Ms, checks } = await storm();
  const [first] = texts;
  expect(first).toMatch(/^200 .*"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/s);
  const contents = texts.map((text) => text.replaceAll(/"id":"[^"]*","created":[0-9]+/g, ''));
  expect(new Set(contents.map((text) => text.replaceAll(': waiting\n\n', ''))).size).toBe(1);
  for (const [i, status] of statuses.entries()) expect({ body: malformed[i], status }).toMatchObject({ status: 400 });
  expect(new Set(wrongKeys)).toEqual(new Set([401]));
  // A client that goes on sending may find its connection closed before it reads the reply.
  for (const outcome of large) expect([413, 'fetch failed']).toContain(outcome);

  let after = await figures();
  const { delayP99Ms } = after;
  const isIdle = async () => {
    after = await figures();
    return after.requests === 0 && after.pressure.running === 0;
  };
  await until(isIdle, 'nothing runs');
  expect(after.pressure).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
  expect(exited).toBeUndefined();
  process.stdout.write(
    `storm: /health p99 ${healthP99Ms.toFixed(1)} ms of ${checks}; the server's loop delay p99 ` +
      `${delayP99Ms.toFixed(1)} ms; heap ${(before.heapBytes / 2 ** 20).toFixed(0)} to ` +
      `${(after.heapBytes / 2 ** 20).toFixed(0)} MiB; rented ${(after.rentedBytes - before.rentedBytes) / 2 ** 20} MiB more; load average ${loadavg()[0]?.toFixed(1)}\n`,
  );
  // Memory is flat: what is kept is a cache of pages, and code that has become hot.
  expect(after.heapBytes - before.heapBytes).toBeLessThan(16 * 2 ** 20);
  expect(after.rentedBytes - before.rentedBytes).toBeLessThan(16 * 2 ** 20);
  // Nothing else runs on the machine then.
  if (process.env.TESSERAE_NIGHTLY === '1') expect(healthP99Ms).toBeLessThan(20);
  child.send('close');
  await until(() => exited !== undefined, 'the server has ended');
  expect(exited).toBe(0);
});
