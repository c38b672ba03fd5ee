// The fields of a body that say how tokens are chosen and when a text ends, as options of a generation. The model checks
// combinations. Called by requests.ts.
import type { Format, GenerateOptions } from '../index.js';
import { type BodyFields, wrong } from './body-fields.js';

const mostStops = 4;
const mostPenalty = 1000;

/** @throws TesseraeError ERR_ARGUMENT */
export function samplingOf(fields: BodyFields): GenerateOptions {
  const penalty = (name: string) => fields.number(name, -2, 2);
  const given = {
    maxTokens: maxTokensOf(fields),
    temperature: fields.number('temperature', 0, 2),
    topP: fields.number('top_p', 0, 1),
    seed: fields.integer('seed', 0),
    stop: stopOf(fields),
    presencePenalty: penalty('presence_penalty'),
    frequencyPenalty: penalty('frequency_penalty'),
    logitBias: biasOf(fields),
    // Fields that OpenAI's API does not have, under the names that other servers give them.
    topK: fields.integer('top_k', 0),
    minP: fields.number('min_p', 0, 1),
    repetitionPenalty: fields.number('repetition_penalty', 0, mostPenalty),
    ignoreEos: fields.flag('ignore_eos'),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function maxTokensOf(fields: BodyFields): number | undefined {
  const old = fields.integer('max_tokens', 1);
  return fields.integer('max_completion_tokens', 1) ?? old;
}

function stopOf(fields: BodyFields): readonly string[] | undefined {
  const value = fields.take('stop');
  const stops = typeof value === 'string' ? [value] : value;
  if (stops === undefined || (Array.isArray(stops) && stops.length === 0)) return undefined;
  const isList = Array.isArray(stops) && stops.length <= mostStops;
  if (isList && stops.every((stop) => typeof stop === 'string' && stop !== '')) return stops;
  throw wrong('stop', `must be a text, or up to ${mostStops} texts`);
}

function biasOf(fields: BodyFields): Record<string, number> | undefined {
  const value = fields.take('logit_bias');
  if (value === undefined) return undefined;
  const isMap = typeof value === 'object' && !Array.isArray(value);
  const entries = isMap ? Object.entries(value as object) : [];
  if (isMap && entries.every(([id, bias]) => /^[0-9]+$/.test(id) && isBias(bias))) return Object.fromEntries(entries);
  throw wrong('logit_bias', 'must map ids of tokens to numbers from -100 to 100');
}

function isBias(value: unknown): boolean {
  return typeof value === 'number' && value >= -100 && value <= 100;
}

/** The format of `response_format`; undefined for plain text. @throws TesseraeError ERR_ARGUMENT */
export function formatOf(fields: BodyFields): Format | undefined {
  const value = fields.take('response_format') as { type?: unknown; json_schema?: { schema?: unknown } } | undefined;
  if (value === undefined) return undefined;
  const schema = value.json_schema?.schema;
  if (value.type === 'text') return undefined;
  if (value.type === 'json_object') return { json: true };
  if (value.type === 'json_schema' && typeof schema === 'object' && schema !== null) {
    return { jsonSchema: schema as Record<string, unknown> };
  }
  throw wrong('response_format', 'must have the type text, json_object, or json_schema with json_schema.schema');
}
