// Who may ask: API keys, compared in constant time; without keys, only clients that name this machine. Called before a body
// is read.
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { TesseraeError } from '../base/errors.js';
import { RequestError } from './error-replies.js';
import { type HttpHead, headerOf } from './http.js';

export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digestOf);
  }

  /** The number of the key that the request has; undefined without keys. @throws RequestError 401, 403 */
  check(head: HttpHead): number | undefined {
    if (this.#digests.length === 0) {
      checkHost(head);
      return undefined;
    }
    const [, given] = /^Bearer +(\S+)$/i.exec(headerOf(head, 'authorization') ?? '') ?? [];
    if (given === undefined) throw unauthorized('an API key is needed: Authorization: Bearer KEY');
    const digest = digestOf(given);
    // All of them, so that the time does not depend on which one it is.
    let found = -1;
    for (const [index, known] of this.#digests.entries()) if (timingSafeEqual(known, digest)) found = index;
    if (found < 0) throw unauthorized('the API key is wrong');
    return found;
  }
}

/** Digests have one length, so that comparing them does not tell that of the key. */
function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function unauthorized(message: string): RequestError {
  return new RequestError(401, 'invalid_api_key', message, { 'www-authenticate': 'Bearer' });
}

/** A name of another machine leads here from a web page whose author has changed what the name means (DNS rebinding). */
function checkHost(head: HttpHead): void {
  const host = headerOf(head, 'host') ?? '';
  if (isLoopback(host.replace(/:[0-9]+$/, ''))) return;
  throw new RequestError(403, 'forbidden_host', 'without API keys, the server answers to loopback names alone');
}

/** Whether a host is this machine itself, and no other machine can reach it. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIPv4(name)) return name.startsWith('127.');
  return isIPv6(name) ? name === '::1' : name === 'localhost' || name.endsWith('.localhost');
}

/** @throws TesseraeError ERR_ARGUMENT for a host that other machines can reach, without a key */
export function requireKey(host: string, apiKeys: readonly string[]): void {
  if (isLoopback(host) || apiKeys.length > 0) return;
  const message = `${host} can be reached by other machines: give an API key`;
  throw new TesseraeError('ERR_ARGUMENT', message, { op: 'listen' });
}
