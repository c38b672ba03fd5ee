// The fields by which a request says how its answers are delivered, and when they are computed. Called by chat-requests.ts and
// completion-requests.ts.
import type { TurnOptions } from '../index.js';
import { BodyFields, wrong } from './body-fields.js';

/** How the answers of a request are delivered. */
export interface Delivery {
  /** How many answers. */
  readonly n: number;
  readonly isStream: boolean;
  /** Whether a stream ends with the usage. */
  readonly includesUsage: boolean;
}

const mostChoices = 128;

/** @throws TesseraeError ERR_ARGUMENT */
export function deliveryOf(fields: BodyFields): Delivery {
  const n = fields.integer('n', 1, mostChoices) ?? 1;
  const isStream = fields.flag('stream') === true;
  const given = fields.take('stream_options');
  if (given === undefined) return { n, isStream, includesUsage: false };
  if (!isStream) throw wrong('stream_options', 'needs stream');
  const options = new BodyFields(given);
  const includesUsage = options.flag('include_usage') === true;
  options.only('include_obfuscation', false);
  options.end();
  return { n, isStream, includesUsage };
}

/** When a request has its turn: fields that OpenAI's API does not have. @throws TesseraeError ERR_ARGUMENT */
export function turnOf(fields: BodyFields): TurnOptions {
  const priority = fields.integer('priority', -100, 100);
  const deadlineMs = fields.integer('deadline_ms', 1);
  return { ...(priority === undefined ? {} : { priority }), ...(deadlineMs === undefined ? {} : { deadlineMs }) };
}
