// The errors that the library throws, with their stable codes. Every room may import this file; it imports none.

/** Stable codes of {@link TesseraeError}; a code's meaning never changes once released. */
export type ErrorCode =
  /** An argument or option has a wrong type or value. */
  | 'ERR_ARGUMENT'
  /** Shapes do not fit the operation, or each other. */
  | 'ERR_SHAPE'
  /** The operation does not take this element type. */
  | 'ERR_DTYPE'
  /** A tensor, scope, program, model or session was used after its disposal, or disposed twice. */
  | 'ERR_DISPOSED'
  /** A tensor belongs to another engine. */
  | 'ERR_FOREIGN_TENSOR'
  /** A program was started while it is running: its tensors serve one run at a time. */
  | 'ERR_BUSY'
  /** The engine is closed or closing. */
  | 'ERR_ENGINE_CLOSED'
  /** The memory budget would be exceeded. */
  | 'ERR_BUDGET'
  /** As many requests wait as may: see `serving.maxQueued`. */
  | 'ERR_QUEUE_FULL'
  /** A request was not complete within its `deadlineMs`. */
  | 'ERR_DEADLINE'
  /** An index in an index tensor is outside the table. */
  | 'ERR_INDEX'
  /** A worker thread died while it computed a part of this program. */
  | 'ERR_WORKER_LOST'
  /** The worker threads could not be started. */
  | 'ERR_WORKER_START'
  /** The native addon is missing, or this machine cannot load it or run its kernels. */
  | 'ERR_NATIVE'
  /** A kernel failed for a reason that has no code of its own. */
  | 'ERR_KERNEL'
  /** A model file is truncated, corrupt or inconsistent. */
  | 'ERR_MODEL_FILE'
  /** A model file cannot be read from the file system. */
  | 'ERR_FILE'
  /** The model's architecture, tensor type or tokenizer is not supported. */
  | 'ERR_UNSUPPORTED'
  /** An output format (a regular expression or a JSON schema) is malformed or uses an unsupported feature. */
  | 'ERR_FORMAT'
  /** A prompt does not fit into the model's context. */
  | 'ERR_CONTEXT'
  /** A saved session is damaged, of another version, or of another model. */
  | 'ERR_SESSION_STATE'
  /** A text or token list cannot be tokenized or decoded. */
  | 'ERR_TOKENIZER'
  /** A chat template is missing or damaged, refuses the messages, or exceeds its limits. */
  | 'ERR_CHAT_TEMPLATE';

/** Where an error arose. */
export interface ErrorDetails {
  /** The operation, as it is spelled in the API. */
  op?: string;
  cause?: unknown;
  neverFits?: boolean;
}

/** The class of all errors that the library throws on purpose, except for {@link AbortError}. */
export class TesseraeError extends Error {
  readonly code: ErrorCode;
  readonly op: string | undefined;
  /** Of a call with many items: the place of the item that failed. */
  readonly index?: number;
  /** Of ERR_BUDGET: more is needed than the budget would give if nothing else took of it, so repeating cannot help. */
  readonly neverFits?: true;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(
      details.op === undefined ? message : `${details.op}: ${message}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = 'TesseraeError';
    this.code = code;
    this.op = details.op;
    if (details.neverFits === true) this.neverFits = true;
  }
}

/** The same error as that of one item of many. An error may be shared by several items, so this is a copy. */
export function indexed(error: unknown, index: number): unknown {
  if (!(error instanceof TesseraeError) || error.index !== undefined) return error;
  const copy = new TesseraeError(error.code, '', { cause: error.cause, neverFits: error.neverFits === true });
  // Where it arose is made a text only for who looks at it: hundreds of items may fail at once.
  const stack = { get: () => error.stack, configurable: true };
  return Object.defineProperty(Object.assign(copy, { message: error.message, op: error.op, index }), 'stack', stack);
}

/** The error of an operation whose AbortSignal fired. `cause` is the signal's reason. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR';

  constructor(cause: unknown) {
    super('The operation was aborted', { cause });
    this.name = 'AbortError';
  }
}

/** A shape as messages print it: `[2, 3]`. */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
