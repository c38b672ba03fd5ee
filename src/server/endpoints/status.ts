// What the server says of itself: whether it lives, whether it takes requests, which models it has, how much there is to do.

import { type HttpReply, jsonReply, textReply } from '../http.js';
import { draining } from '../places.js';
import type { EndpointContext } from './context.js';

/** GET /health: the process lives. */
export function health(): HttpReply {
  return jsonReply({ status: 'ok' });
}

/** GET /ready: requests are taken. */
export function ready({ places }: EndpointContext): HttpReply {
  if (places.isDraining) throw draining();
  return jsonReply({ status: 'ready' });
}

/** GET /v1/models. */
export function listModels({ models }: EndpointContext): HttpReply {
  return jsonReply({ object: 'list', data: models.all.map(describeModel) });
}

/** GET /v1/models/ID. */
export function showModel(id: string, { models }: EndpointContext): HttpReply {
  return jsonReply(describeModel(models.byId(id)));
}

function describeModel({
  id,
  created,
  model,
}: {
  id: string;
  created: number;
  model: { info: { sessionCapacity: number } };
}) {
  return { id, object: 'model', created, owned_by: 'tesserae', max_model_len: model.info.sessionCapacity };
}

/** GET /pressure: what the engine has to do, and the server's own count. */
export function pressure({ settings, places }: EndpointContext): HttpReply {
  const { maxRequests } = settings;
  return jsonReply({ ...settings.engine.pressure(), requests: places.taken, maxRequests });
}

/** GET /metrics: those of the engine, for Prometheus. */
export async function metrics({ settings }: EndpointContext): Promise<HttpReply> {
  return textReply(await settings.engine.metrics(), 'text/plain; version=0.0.4; charset=utf-8');
}
