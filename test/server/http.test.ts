// What the server does with requests as such: keys, hosts, methods, bodies, limits, clients that go away, closing.
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createServer } from '../../src/server/index.js';
import { post, type RunningServer, startServer, until } from './running-server.js';

const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
async function start(...options: Parameters<typeof startServer>): Promise<RunningServer> {
  const running = await startServer(...options);
  servers.push(running);
  return running;
}

const messages = [{ role: 'user', content: 'The sea' }];
const long = { messages, max_tokens: 400, stream: true, temperature: 0 };

describe('keys and hosts', () => {
  test('a key is needed but for health and readiness', async () => {
    const { url } = await start({ apiKeys: ['one', 'two'] });
    const statusOf = async (path: string, headers = {}) => (await fetch(url + path, { headers })).status;
    expect(await statusOf('/health')).toBe(200);
    expect(await statusOf('/ready')).toBe(200);
    expect(await statusOf('/v1/models')).toBe(401);
    expect(await statusOf('/v1/models', { authorization: 'Bearer three' })).toBe(401);
    expect(await statusOf('/v1/models', { authorization: 'Bearer two' })).toBe(200);
    expect(await statusOf('/pressure', { authorization: 'bearer one' })).toBe(200);
    expect((await post(`${url}/v1/chat/completions`, 'x'.repeat(5e6))).status).toBe(401);
  });

  test('a host that others can reach needs a key', async () => {
    const { engine, model } = await start();
    const server = await createServer({ engine, models: { tiny: model } });
    await expect(server.listen({ host: '0.0.0.0', port: 0 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    await server.close();
  });

  test('without keys, only names of this machine are answered', async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const statusFor = (host: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        });
        let text = '';
        socket.on('data', (data) => {
          text += data;
        });
        socket.on('end', () => resolve(text.split(' ')[1] as string)).on('error', reject);
      });
    expect(await statusFor('evil.example')).toBe('403');
    expect(await statusFor('localhost:1')).toBe('200');
    expect(await statusFor('[::1]:8080')).toBe('200');
  });
});

describe('bodies and paths', () => {
  test('that are wrong get a status of their own', async () => {
    const { url } = await start({ maxBodyBytes: 10_000 });
    const chat = `${url}/v1/chat/completions`;
    const outcome = async (reply: Promise<Response>) => {
      const { status, body } = {
        status: (await reply).status,
        body: (await (await reply).json()) as { error: object },
      };
      return { status, ...body.error };
    };
    expect(await outcome(post(chat, '{'))).toMatchObject({ status: 400, code: 'invalid_json' });
    expect(await outcome(post(chat, ''))).toMatchObject({ status: 400 });
    expect(await outcome(post(chat, '[]'))).toMatchObject({ status: 400 });
    expect(await outcome(post(chat, {}))).toMatchObject({ status: 400, message: expect.stringMatching(/messages/) });
    expect(await outcome(post(chat, 'x'.repeat(20_000)))).toMatchObject({ status: 413 });
    expect(await outcome(post(chat, '{}', { 'content-type': 'text/plain' }))).toMatchObject({ status: 415 });
    expect(await outcome(fetch(`${url}/none`))).toMatchObject({ status: 404 });
    expect(await outcome(fetch(chat))).toMatchObject({ status: 405 });
    expect(await outcome(fetch(`${url}/health`, { method: 'DELETE' }))).toMatchObject({ status: 405 });
  });
});

describe('places', () => {
  test('are limited, and given back when clients go away', async () => {
    const { engine, server, url } = await start({ maxRequests: 4 });
    const chat = `${url}/v1/chat/completions`;
    const stop = new AbortController();
    const replies = await Promise.all([0, 1, 2, 3].map(() => post(chat, long, {}, stop.signal)));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const refused = await post(chat, long);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    stop.abort();
    await until(() => server.requests === 0);
    await until(() => engine.pressure().running === 0 && engine.pressure().queued === 0);
    expect(engine.pressure().pagesUsed).toBe(0);
  });

  test('of a stream that nobody reads are kept, and do not stop others', async () => {
    const { engine, server, url } = await start();
    const port = Number(new URL(url).port);
    const body = JSON.stringify({ ...long, logprobs: true, top_logprobs: 20 });
    const slow = connect(port, '127.0.0.1');
    slow.pause();
    slow.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => server.requests === 1);
    const reply = await post(`${url}/v1/chat/completions`, { messages, max_tokens: 8 });
    expect(reply.status).toBe(200);
    slow.destroy();
    await until(() => server.requests === 0);
    await until(() => engine.pressure().running === 0);
  });
});

describe('closing', () => {
  test('finishes what runs, and refuses what comes', async () => {
    const { server, url } = await start();
    const reply = await post(`${url}/v1/chat/completions`, { ...long, max_tokens: 60 });
    const closing = server.close({ graceMs: 10_000 });
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await fetch(`${url}/ready`)).status).toBe(503);
    expect((await post(`${url}/v1/chat/completions`, long)).status).toBe(503);
    expect(await reply.text()).toMatch(/"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/s);
    await closing;
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  test('waits for a client that reads late', async () => {
    const { server, url } = await start();
    const body = JSON.stringify({ ...long, max_tokens: 300, logprobs: true, top_logprobs: 20 });
    const slow = connect(Number(new URL(url).port), '127.0.0.1');
    slow.pause();
    slow.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => server.requests === 1);
    const closing = server.close({ graceMs: 15_000 });
    await until(() => server.requests === 0);
    let text = '';
    slow.on('data', (part) => {
      text += part;
    });
    const closed = once(slow, 'close');
    slow.resume();
    await Promise.all([closing, closed]);
    expect(text).toContain('data: [DONE]');
  });

  test('ends what takes too long with an event', async () => {
    const { server, url } = await start();
    const reply = await post(`${url}/v1/chat/completions`, long);
    await server.close({ graceMs: 0 });
    expect(await reply.text()).toMatch(/data: \{"error":\{"message":"the server is closing".*\n\n$/);
  });
});
