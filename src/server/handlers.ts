// The server without its sockets: from a request to a reply. Knows no framework: see http.ts. An end asks `refusalOf` before it
// reads a body, and then `handle`.

import { ApiKeys } from './api-keys.js';
import { chat } from './endpoints/chat.js';
import { completions } from './endpoints/completions.js';
import type { EndpointContext } from './endpoints/context.js';
import { embeddings } from './endpoints/embeddings.js';
import { page, pageCss, pageJs } from './endpoints/page.js';
import { responses } from './endpoints/responses.js';
import { health, listModels, metrics, pressure, ready, showModel } from './endpoints/status.js';
import { detokenize, tokenize } from './endpoints/tokens.js';
import { errorReply, RequestError } from './error-replies.js';
import { type HttpHead, type HttpReply, type HttpRequest, headerOf } from './http.js';
import { Places } from './places.js';
import { ServedModels } from './served-models.js';
import type { ServerSettings } from './server-options.js';

type Get = (context: EndpointContext) => HttpReply | Promise<HttpReply>;
type Post = (body: unknown, context: EndpointContext) => Promise<HttpReply>;

interface Route {
  readonly method: 'GET' | 'POST';
  /** Needs no key. */
  readonly isOpen?: boolean;
  readonly answer: Get | Post;
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/', { method: 'GET', isOpen: true, answer: page }],
  ['/page.css', { method: 'GET', isOpen: true, answer: pageCss }],
  ['/page.js', { method: 'GET', isOpen: true, answer: pageJs }],
  ['/health', { method: 'GET', isOpen: true, answer: health }],
  ['/ready', { method: 'GET', isOpen: true, answer: ready }],
  ['/metrics', { method: 'GET', answer: metrics }],
  ['/pressure', { method: 'GET', answer: pressure }],
  ['/v1/models', { method: 'GET', answer: listModels }],
  ['/v1/chat/completions', { method: 'POST', answer: chat }],
  ['/v1/completions', { method: 'POST', answer: completions }],
  ['/v1/responses', { method: 'POST', answer: responses }],
  ['/v1/embeddings', { method: 'POST', answer: embeddings }],
  ['/tokenize', { method: 'POST', answer: tokenize }],
  ['/detokenize', { method: 'POST', answer: detokenize }],
]);
const modelPath = /^\/v1\/models\/(.+)$/;

export class Handlers {
  readonly settings: ServerSettings;
  readonly places: Places;
  readonly #models: ServedModels;
  readonly #keys: ApiKeys;

  constructor(settings: ServerSettings) {
    this.settings = settings;
    this.places = new Places(settings.maxRequests, () => settings.engine.pressure());
    this.#models = new ServedModels(settings);
    this.#keys = new ApiKeys(settings.apiKeys);
  }

  /** The reply to a request that needs no look at its body; undefined where it does. */
  refusalOf(head: HttpHead): HttpReply | undefined {
    try {
      const { method } = this.#admit(head).route;
      if (method !== 'POST') return undefined;
      this.places.check();
      const type = (headerOf(head, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase();
      // A web page of another origin can send other types without being asked for leave.
      if (type !== 'application/json') {
        throw new RequestError(415, 'unsupported_media_type', 'the body must be sent as application/json');
      }
      return undefined;
    } catch (error) {
      return errorReply(error);
    }
  }

  /** Never rejects. */
  async handle(request: HttpRequest): Promise<HttpReply> {
    try {
      const { route, key } = this.#admit(request);
      const tenant = key === undefined ? undefined : `key ${key}`;
      const { settings, places, signal } = { settings: this.settings, places: this.places, signal: request.signal };
      const context = { settings, places, signal, models: this.#models, tenant };
      if (route.method === 'GET') return await (route.answer as Get)(context);
      return await (route.answer as Post)(bodyOf(request), context);
    } catch (error) {
      return errorReply(error);
    }
  }

  /** @throws RequestError 401, 403, 404, 405 */
  #admit(head: HttpHead): { readonly route: Route; readonly key: number | undefined } {
    const route = routeOf(head.path);
    const key = route?.isOpen === true ? undefined : this.#keys.check(head);
    if (route === undefined) throw new RequestError(404, 'not_found', 'there is nothing at this path');
    if (head.method !== route.method && !(head.method === 'HEAD' && route.method === 'GET')) {
      throw new RequestError(405, 'method_not_allowed', `this path takes ${route.method}`, { allow: route.method });
    }
    return { route, key };
  }
}

function routeOf(path: string): Route | undefined {
  const [, id] = modelPath.exec(path) ?? [];
  if (id === undefined) return routes.get(path);
  return { method: 'GET', answer: (context: EndpointContext) => showModel(decoded(id), context) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @throws RequestError 400 */
function bodyOf({ body }: HttpRequest): unknown {
  try {
    return JSON.parse(Buffer.from(body ?? []).toString('utf8'));
  } catch {
    throw new RequestError(400, 'invalid_json', 'the body is not valid JSON');
  }
}
