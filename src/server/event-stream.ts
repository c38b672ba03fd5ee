// Server-sent events: their text, the beginning of a stream, and writing one to a client at the client's pace. Called by the
// endpoints and by fastify-end.ts.
import type { Writable } from 'node:stream';
import { whenAborted } from '../base/abort-watch.js';
import { errorReply, failureOf } from './error-replies.js';
import type { HttpReply } from './http.js';

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-content-type-options': 'nosniff',
  // Proxies such as nginx pass each event on at once.
  'x-accel-buffering': 'no',
};

/** One event. */
export function eventOf(data: unknown, name?: string): string {
  const text = `data: ${JSON.stringify(data)}\n\n`;
  return name === undefined ? text : `event: ${name}\n${text}`;
}

/**
 * A reply of events. Waits for the first event, so that an error before it has a status of its own; no longer than
 * `patienceMs`, so that a client that waits in the queue sees that it is connected.
 * @param errorEvent the event of an error after the headers
 */
export async function streamReply(
  events: AsyncGenerator<string, void, void>,
  patienceMs: number,
  errorEvent: (error: unknown) => string = (error) => eventOf(failureOf(error).body),
): Promise<HttpReply> {
  const first = events.next();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  try {
    await Promise.race([first, patience]);
  } catch (error) {
    return errorReply(error);
  } finally {
    clearTimeout(timer);
  }
  // Nobody may read on.
  first.catch(() => {});
  return { status: 200, headers, body: readOn(first, events, errorEvent) };
}

async function* readOn(
  first: Promise<IteratorResult<string, void>>,
  events: AsyncGenerator<string, void, void>,
  errorEvent: (error: unknown) => string,
): AsyncGenerator<string, void, void> {
  try {
    const { value } = await first;
    if (value !== undefined) yield value;
    yield* events;
  } catch (error) {
    yield errorEvent(error);
  } finally {
    await events.return();
  }
}

export interface WriteOptions {
  readonly keepAliveMs: number;
  readonly stallMs: number;
  /** Ends the waiting for a client that takes nothing: the events end then, too. */
  readonly signal: AbortSignal;
}

/**
 * Writes events as the client takes them: one that reads slowly is not computed for ahead of time. Resolves when all are
 * written, or the client is gone, and has then ended the stream of events.
 */
export async function writeEvents(
  events: AsyncIterable<string>,
  client: Writable,
  { keepAliveMs, stallMs, signal }: WriteOptions,
): Promise<void> {
  // What a client does while nothing is written must not be an unhandled error.
  client.on('error', () => {});
  let isSilent = true;
  const keepAlive = setInterval(() => {
    if (isSilent && !client.writableNeedDrain && !client.destroyed) client.write(': waiting\n\n');
    isSilent = true;
  }, keepAliveMs);
  try {
    for await (const event of events) {
      if (client.destroyed) return;
      isSilent = false;
      if (!client.write(event)) await roomIn(client, stallMs, signal);
      if (client.destroyed) return;
    }
    client.end();
  } finally {
    clearInterval(keepAlive);
  }
}

/** Resolves when the client takes more, is gone, or the signal fires. One that takes nothing for too long is disconnected. */
function roomIn(client: Writable, stallMs: number, signal: AbortSignal): Promise<void> {
  if (client.destroyed || !client.writableNeedDrain || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      client.off('drain', done).off('close', done).off('error', done);
      leave();
      resolve();
    };
    const timer = setTimeout(() => client.destroy(), stallMs);
    client.on('drain', done).on('close', done).on('error', done);
    const leave = whenAborted(signal, done);
  });
}
