// The server: handlers behind Fastify, from listening to closing. The public entry of `tesserae/server`.
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { TesseraeError } from '../base/errors.js';
import { checkKeys, checkRange } from '../base/options.js';
import { requireKey } from './api-keys.js';
import { fastifyEnd } from './fastify-end.js';
import { Handlers } from './handlers.js';
import { draining } from './places.js';
import { type ServerOptions, serverSettings } from './server-options.js';

export interface ListenOptions {
  /** 127.0.0.1 by default. A host that is not loopback needs `apiKeys`. */
  readonly host?: string | undefined;
  /** 8080 by default; 0 takes any free port. */
  readonly port?: number | undefined;
}

export interface CloseServerOptions {
  /** How long the requests that run may take; 10 s by default. */
  readonly graceMs?: number | undefined;
}

const defaultHost = '127.0.0.1';
const defaultPort = 8080;
const defaultGraceMs = 10_000;
/** How long what was ended may take to tell its clients. */
const farewellMs = 1000;
const pollMs = 5;

/** Made by {@link createServer}. */
export class TesseraeServer {
  /** The Fastify instance: routes and hooks may be added before it listens. */
  readonly app: FastifyInstance;
  readonly #handlers: Handlers;
  readonly #running: Set<AbortController>;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(app: FastifyInstance, handlers: Handlers, running: Set<AbortController>) {
    this.app = app;
    this.#handlers = handlers;
    this.#running = running;
  }

  /** Requests that are computed or wait. */
  get requests(): number {
    return this.#handlers.places.taken;
  }

  /** Begins to take requests. Returns the URL. @throws TesseraeError ERR_ARGUMENT; the errors of `net.Server.listen` */
  async listen(options: ListenOptions = {}): Promise<string> {
    const op = 'listen';
    checkKeys(options, ['host', 'port'], op);
    const { host = defaultHost } = options;
    const port = checkRange(options.port, 'port', op, 0, 65_535) ?? defaultPort;
    if (typeof host !== 'string' || host === '') throw new TesseraeError('ERR_ARGUMENT', 'host must be a name', { op });
    requireKey(host, this.#handlers.settings.apiKeys);
    await this.app.listen({ host, port });
    const address = this.app.server.address() as AddressInfo;
    return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  }

  /**
   * Takes no more requests: they get the status 503. Lets those that run finish for `graceMs`, then ends them, and closes all
   * connections. Closing again ends the waiting.
   */
  close(options: CloseServerOptions = {}): Promise<void> {
    checkKeys(options, ['graceMs'], 'close');
    const graceMs = checkRange(options.graceMs, 'graceMs', 'close', 0, 2 ** 31 - 1) ?? defaultGraceMs;
    if (this.#closing !== undefined) this.#endAll();
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const endAt = performance.now() + graceMs;
    const timer = setTimeout(() => this.#endAll(), graceMs);
    await this.#handlers.places.drain();
    clearTimeout(timer);
    // What was answered may still be on its way.
    while (this.#running.size > 0 && performance.now() < endAt) await sleep(pollMs);
    this.#endAll();
    for (const limit = performance.now() + farewellMs; this.#running.size > 0 && performance.now() < limit; ) {
      await sleep(pollMs);
    }
    await this.app.close();
  }

  #endAll(): void {
    for (const stop of this.#running) stop.abort(draining());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close({ graceMs: 0 });
  }
}

/**
 * A server of OpenAI's API for models of an engine. Needs the package `fastify`, 5 or newer.
 * @throws TesseraeError ERR_ARGUMENT; ERR_UNSUPPORTED without Fastify
 */
export async function createServer(options: ServerOptions): Promise<TesseraeServer> {
  const handlers = new Handlers(serverSettings(options));
  const running = new Set<AbortController>();
  return new TesseraeServer(await fastifyEnd(handlers, running), handlers, running);
}
