// Writing events to clients: at the client's pace, with comments while nothing comes, and no longer than the client is there.
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { streamReply, writeEvents } from '../../src/server/event-stream.js';

const options = { keepAliveMs: 20, stallMs: 10_000, signal: new AbortController().signal };

/** Events that count how many were taken, and whether the stream was ended. */
function countedEvents(sizes: readonly number[]) {
  const counts = { taken: 0, isEnded: false };
  const events = (async function* () {
    try {
      for (const size of sizes) {
        counts.taken++;
        yield 'x'.repeat(size);
      }
    } finally {
      counts.isEnded = true;
    }
  })();
  return { counts, events };
}

test('a silent stream gets comments', async () => {
  const events = (async function* () {
    await sleep(90);
    yield 'data: 1\n\n';
  })();
  const client = new PassThrough();
  client.setEncoding('utf8');
  let text = '';
  client.on('data', (part: string) => {
    text += part;
  });
  await writeEvents(events, client, options);
  expect(text).toMatch(/^(: waiting\n\n){2,}data: 1\n\n$/);
});

test('a client that reads slowly is not computed for ahead of time, and gets all in the end', async () => {
  const { counts, events } = countedEvents(new Array<number>(50).fill(1000));
  const client = new PassThrough({ highWaterMark: 2000 });
  const written = writeEvents(events, client, { ...options, keepAliveMs: 10_000 });
  await sleep(50);
  expect(counts.taken).toBeLessThan(8);
  let bytes = 0;
  client.on('data', (part: Buffer) => {
    bytes += part.length;
  });
  await written;
  expect([bytes, counts.isEnded]).toEqual([50_000, true]);
});

test.each([
  ['goes away', (client: PassThrough) => client.destroy()],
  ['fails', (client: PassThrough) => client.destroy(new Error('reset'))],
])('a client that %s while it is waited for ends the stream', async (_what, end) => {
  const { counts, events } = countedEvents(new Array<number>(50).fill(1000));
  const client = new PassThrough({ highWaterMark: 2000 }).on('error', () => {});
  const written = writeEvents(events, client, options);
  await sleep(30);
  end(client);
  await written;
  expect(counts.isEnded).toBe(true);
  expect(counts.taken).toBeLessThan(8);
});

test('a client that takes nothing for too long is disconnected', async () => {
  const { counts, events } = countedEvents(new Array<number>(50).fill(1000));
  const client = new PassThrough({ highWaterMark: 2000 });
  await writeEvents(events, client, { ...options, stallMs: 40 });
  expect([client.destroyed, counts.isEnded]).toEqual([true, true]);
});

test('a signal ends the waiting for a client, which gets the last events when it reads again', async () => {
  const stop = new AbortController();
  const events = (async function* () {
    while (!stop.signal.aborted) yield 'x'.repeat(1000);
    yield 'the end';
  })();
  const client = new PassThrough({ highWaterMark: 2000 });
  const written = writeEvents(events, client, { ...options, signal: stop.signal });
  await sleep(30);
  stop.abort();
  await written;
  let text = '';
  for await (const part of client) text += part;
  expect(text).toMatch(/^x+the end$/);
});

test('an error before the first event is a status, a later one an event', async () => {
  const failing = (delay: number, before: readonly string[] = []) =>
    (async function* (): AsyncGenerator<string, void, void> {
      await sleep(delay);
      yield* before;
      throw Object.assign(new Error('the prompt is too long'), { code: 'ERR_CONTEXT' });
    })();
  const early = await streamReply(failing(0), 5000);
  expect(early).toMatchObject({ status: 400, body: expect.stringContaining('ERR_CONTEXT') });
  for (const late of [await streamReply(failing(50), 10), await streamReply(failing(0, ['data: 1\n\n']), 5000)]) {
    expect(late.status).toBe(200);
    let text = '';
    for await (const event of late.body as AsyncIterable<string>) text += event;
    expect(text).toMatch(
      /^(data: 1\n\n)?data: \{"error":\{"message":"the prompt is too long".*"code":"ERR_CONTEXT"\}\}\n\n$/,
    );
  }
});
