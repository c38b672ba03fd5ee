// A server on a free port with the bundled model, and an OpenAI client of it. Used by the tests of the server.
import OpenAI from 'openai';
import { Engine } from '../../src/engine.js';
import type { Model } from '../../src/model/model.js';
import { createServer, type ServerOptions, type TesseraeServer } from '../../src/server/index.js';
import { bundledModelPath } from '../support/models/bundled-model.js';

export interface RunningServer {
  readonly engine: Engine;
  readonly model: Model;
  readonly server: TesseraeServer;
  readonly url: string;
  readonly client: OpenAI;
  stop(): Promise<void>;
}

export async function startServer(options: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const engine = await Engine.create({ threads: 1 });
  // The time of a template is wall time, and tests run side by side.
  const model = await engine.loadModel(bundledModelPath, { templateTimeoutMs: 5000 });
  const server = await createServer({ engine, models: { tiny: model }, ...options });
  const url = await server.listen({ port: 0 });
  const apiKey = options.apiKeys?.[0] ?? 'none';
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  const stop = async () => {
    await server.close({ graceMs: 0 });
    await engine.close();
  };
  return { engine, model, server, url, client, stop };
}

/** Posts JSON, or text as it stands. */
export function post(url: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Waits until the condition holds. */
export async function until(holds: () => unknown, what = String(holds)): Promise<void> {
  for (const limit = performance.now() + 15_000; !(await holds()); ) {
    if (performance.now() > limit) throw new Error(`waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
