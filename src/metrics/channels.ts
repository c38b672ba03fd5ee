// The channels of `node:diagnostics_channel` on which requests and lost workers are published, and their messages. A message
// is made only where a channel has subscribers. No message contains a text.
import { channel } from 'node:diagnostics_channel';
import type { RequestKind } from './serving-counts.js';

/** A request: the same object in all messages about it. */
export interface ObservedRequest {
  /** Unique in the process. */
  readonly id: number;
  readonly kind: RequestKind;
  /** The model's own name, or that of its file. */
  readonly model: string;
  /** Tokens of the prompt, or of the text to embed. */
  readonly promptTokens: number;
  readonly priority: number;
  readonly tenant: string;
}

/** `tesserae:request:begin`: the request is in the queue. `tesserae:request:preempt`: it is computed again later. */
export interface RequestMessage {
  readonly request: ObservedRequest;
}

/** `tesserae:request:first-token` */
export interface FirstTokenMessage extends RequestMessage {
  readonly queueWaitMs: number;
  readonly timeToFirstTokenMs: number;
}

/** `tesserae:request:end` and `tesserae:request:abort`: one of the two follows each beginning. */
export interface EndMessage extends RequestMessage {
  readonly durationMs: number;
  readonly generatedTokens: number;
  /** Tokens of the prompt that were not computed, since an earlier prompt began alike. */
  readonly cachedTokens: number;
  /** Why a generation ended, as in its result. Absent where it failed, and where a text was embedded. */
  readonly stopReason?: string | undefined;
  /** Why it failed, or an AbortError. */
  readonly error?: unknown;
}

/** `tesserae:worker:lost`: a worker thread has died, or could not be started. It is replaced. */
export interface WorkerLostMessage {
  readonly error: Error;
}

/** The part of a channel that we use, with the type of its messages. */
interface Channel<Message> {
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
}

interface Channels {
  readonly begin: Channel<RequestMessage>;
  readonly firstToken: Channel<FirstTokenMessage>;
  readonly end: Channel<EndMessage>;
  readonly abort: Channel<EndMessage>;
  readonly preempt: Channel<RequestMessage>;
  readonly workerLost: Channel<WorkerLostMessage>;
}

export const channels: Channels = {
  begin: channel('tesserae:request:begin'),
  firstToken: channel('tesserae:request:first-token'),
  end: channel('tesserae:request:end'),
  abort: channel('tesserae:request:abort'),
  preempt: channel('tesserae:request:preempt'),
  workerLost: channel('tesserae:worker:lost'),
};
