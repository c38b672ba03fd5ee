// Errors as replies: the status of each, and the body that OpenAI's clients read. Called wherever a request fails.
import { messageOf } from '../base/describe.js';
import type { ErrorCode } from '../base/errors.js';
import { type HttpReply, jsonReply } from './http.js';

/** A request that is refused by the server itself, not by the model. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** 400 where the request is wrong, 503 where it is well and cannot be answered now, 500 for all else. */
const statusOf: Readonly<Partial<Record<ErrorCode, number>>> = {
  ERR_ARGUMENT: 400,
  ERR_CONTEXT: 400,
  ERR_TOKENIZER: 400,
  ERR_FORMAT: 400,
  ERR_CHAT_TEMPLATE: 400,
  ERR_UNSUPPORTED: 400,
  ERR_QUEUE_FULL: 429,
  ERR_DEADLINE: 504,
  ERR_BUSY: 503,
  ERR_BUDGET: 503,
  ERR_WORKER_LOST: 503,
  ERR_ENGINE_CLOSED: 503,
  ERR_DISPOSED: 503,
};

export interface Failure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: Readonly<Record<string, unknown>> };
}

/** What a client is told of an error. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RequestError) return failure(error.status, error.code, error.message, error.headers);
  const { code, neverFits, cause } = (error ?? {}) as { code?: unknown; neverFits?: unknown; cause?: unknown };
  // A signal that fired with an error of the server: it closes.
  if (code === 'ABORT_ERR' && cause instanceof RequestError) return failureOf(cause);
  if (code === 'ABORT_ERR') return failure(499, 'aborted', 'the request was aborted');
  if (typeof code !== 'string' || !code.startsWith('ERR_')) return failure(500, 'internal', 'the server failed');
  const status = neverFits === true ? 400 : (statusOf[code as ErrorCode] ?? 500);
  const retry = status === 429 || status === 503 ? { 'retry-after': '1' } : undefined;
  return failure(status, code, messageOf(error), retry);
}

export function errorReply(error: unknown): HttpReply {
  const { status, headers, body } = failureOf(error);
  return jsonReply(body, status, headers);
}

function failure(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Failure {
  return { status, headers, body: { error: { message, type: typeOf(status), param: null, code } } };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
