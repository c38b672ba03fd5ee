// What a handler gets and gives: a request and a reply of HTTP, as little of them as the handlers need. Knows no framework:
// fastify-end.ts is the end for one, and tests call handlers with plain objects.

import { jsonText } from '../base/json-text.js';

const jsonType = 'application/json; charset=utf-8';
/** The server itself writes it. */
const unlimited = { name: 'results', mostUnits: Infinity, mostValues: Infinity, deepest: 128 };

export interface HttpHead {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface HttpRequest extends HttpHead {
  /** As it was sent; undefined where there is none. */
  readonly body: Uint8Array | undefined;
  /** Fires when the client goes away, or the server closes. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text, or the events of a stream, each complete. The stream does not throw: errors are events, too. */
  readonly body: string | AsyncIterable<string>;
}

/** The value of a header that may be there once. */
export function headerOf({ headers }: HttpHead, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.[0];
}

/** A reply with a body of any size, written in turns with all other work on texts. */
export async function largeJsonReply(body: unknown, signal: AbortSignal): Promise<HttpReply> {
  return textReply(await jsonText(body, unlimited, signal), jsonType);
}

export function jsonReply(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): HttpReply {
  return textReply(JSON.stringify(body), jsonType, status, headers);
}

export function textReply(
  body: string,
  type: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return { status, headers: { 'content-type': type, 'x-content-type-options': 'nosniff', ...headers }, body };
}
