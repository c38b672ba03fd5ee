// The options of a server, checked. Called by server.ts.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import { checkKeys, checkRange } from '../base/options.js';
import type { Engine, Model } from '../index.js';

export interface ServerOptions {
  /** The engine of the models, for its figures. The server does not close it. */
  readonly engine: Engine;
  /** The models by the names under which clients ask for them. */
  readonly models: Readonly<Record<string, Model>>;
  /** Clients must have one of these; none by default, which needs a loopback host. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Bytes of a request's body at most; 1 MiB by default. */
  readonly maxBodyBytes?: number | undefined;
  /** Answers that are computed or wait at once, at most; 512 by default. More get the status 429. */
  readonly maxRequests?: number | undefined;
  /** Tokens that one answer may have; by default only the model's context limits them. */
  readonly maxTokens?: number | undefined;
  /** From a request to its complete answer; no limit by default. Later it gets the status 504. */
  readonly deadlineMs?: number | undefined;
  /** A Jinja template for the conversations of all models, in place of their own. */
  readonly chatTemplate?: string | undefined;
  /** How long a stream may be silent before a comment keeps its connection alive; 10 s by default. */
  readonly keepAliveMs?: number | undefined;
  /** How long a client may take none of a stream before its connection ends; 2 minutes by default. */
  readonly stallMs?: number | undefined;
  /** How long sending a request, its body included, may take; 30 s by default. */
  readonly requestTimeoutMs?: number | undefined;
}

export interface ServerSettings {
  readonly engine: Engine;
  readonly models: ReadonlyMap<string, Model>;
  readonly apiKeys: readonly string[];
  readonly maxBodyBytes: number;
  readonly maxRequests: number;
  readonly maxTokens: number | undefined;
  readonly deadlineMs: number | undefined;
  readonly chatTemplate: string | undefined;
  readonly keepAliveMs: number;
  readonly stallMs: number;
  readonly requestTimeoutMs: number;
}

const op = 'createServer';
const keys = [
  'engine',
  'models',
  'apiKeys',
  'maxBodyBytes',
  'maxRequests',
  'maxTokens',
  'deadlineMs',
  'chatTemplate',
  'keepAliveMs',
  'stallMs',
  'requestTimeoutMs',
] as const satisfies readonly (keyof ServerOptions)[];
const longestMs = 2 ** 31 - 1;
const defaults = {
  maxBodyBytes: 2 ** 20,
  maxRequests: 512,
  keepAliveMs: 10_000,
  stallMs: 120_000,
  requestTimeoutMs: 30_000,
};

/** @throws TesseraeError ERR_ARGUMENT */
export function serverSettings(options: ServerOptions): ServerSettings {
  checkKeys(options, keys, op);
  const { engine, models, apiKeys = [], chatTemplate } = options;
  if (typeof engine?.pressure !== 'function') throw wrong(`engine must be an engine, got ${describe(engine)}`);
  const entries = typeof models === 'object' && models !== null ? Object.entries(models) : [];
  if (entries.length === 0) throw wrong('models must have at least one model by its name');
  for (const [id, model] of entries) {
    if (id === '' || typeof model?.generate !== 'function') throw wrong('models must map names to models');
  }
  if (!Array.isArray(apiKeys) || !apiKeys.every((key) => typeof key === 'string' && /^\S+$/.test(key))) {
    throw wrong('apiKeys must be texts without spaces');
  }
  if (chatTemplate !== undefined && typeof chatTemplate !== 'string') throw wrong('chatTemplate must be a text');
  const number = (name: keyof ServerOptions, least: number, most: number) =>
    checkRange(options[name], name, op, least, most);
  return {
    engine,
    models: new Map(entries),
    apiKeys: [...apiKeys],
    chatTemplate,
    maxBodyBytes: number('maxBodyBytes', 1, 2 ** 29) ?? defaults.maxBodyBytes,
    maxRequests: number('maxRequests', 1, 2 ** 20) ?? defaults.maxRequests,
    maxTokens: number('maxTokens', 1, Number.MAX_SAFE_INTEGER),
    deadlineMs: number('deadlineMs', 1, longestMs),
    keepAliveMs: number('keepAliveMs', 1, longestMs) ?? defaults.keepAliveMs,
    stallMs: number('stallMs', 1, longestMs) ?? defaults.stallMs,
    requestTimeoutMs: number('requestTimeoutMs', 1, longestMs) ?? defaults.requestTimeoutMs,
  };
}

function wrong(message: string): TesseraeError {
  return new TesseraeError('ERR_ARGUMENT', message, { op });
}
