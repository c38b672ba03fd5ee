// A span for each request where `@opentelemetry/api` can be imported, by the semantic conventions for generative AI. Made from
// the channels; without that package nothing is subscribed to. Called by the engine when it is made.
import { subscribe } from 'node:diagnostics_channel';
import type { Attributes, Span } from '@opentelemetry/api';
import { messageOf } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import type { EndMessage, FirstTokenMessage, ObservedRequest, RequestMessage } from './channels.js';

const operations = { generate: 'text_completion', chat: 'chat', embed: 'embeddings' } as const;
const finishReasons: Readonly<Record<string, string>> = {
  eos: 'stop',
  stop: 'stop',
  maxTokens: 'length',
  context: 'length',
};

let subscribed: Promise<void> | undefined;

/** Makes spans from now on, once in a process. Resolves when that is so, or there is no such package. */
export function traceRequests(): Promise<void> {
  subscribed ??= subscribeAll();
  return subscribed;
}

async function subscribeAll(): Promise<void> {
  const api = await import(/* webpackIgnore: true */ '@opentelemetry/api').catch(() => undefined);
  if (api === undefined) return;
  const tracer = api.trace.getTracer('tesserae');
  const spans = new WeakMap<ObservedRequest, Span>();
  const on = <M extends RequestMessage>(event: string, handle: (span: Span, message: M) => void) =>
    subscribe(`tesserae:request:${event}`, (message) => {
      const span = spans.get((message as M).request);
      if (span?.isRecording()) handle(span, message as M);
    });
  // Published where the request is queued, so the span's parent is the active span of its caller.
  subscribe('tesserae:request:begin', (message) => {
    const { request } = message as RequestMessage;
    const name = `${operations[request.kind]} ${request.model}`;
    spans.set(request, tracer.startSpan(name, { kind: api.SpanKind.INTERNAL, attributes: attributesOf(request) }));
  });
  on<FirstTokenMessage>('first-token', (span, { queueWaitMs, timeToFirstTokenMs }) => {
    span.addEvent('first token', {
      'tesserae.queue_wait_ms': queueWaitMs,
      'tesserae.time_to_first_token_ms': timeToFirstTokenMs,
    });
  });
  on('preempt', (span) => {
    span.addEvent('preempted');
  });
  on<EndMessage>('abort', (span, message) => {
    span.setAttributes({ ...resultOf(message), 'tesserae.aborted': true });
    span.end();
  });
  on<EndMessage>('end', (span, message) => {
    const { error } = message;
    span.setAttributes(resultOf(message));
    if (error !== undefined) {
      span.setAttribute('error.type', error instanceof TesseraeError ? error.code : '_OTHER');
      span.setStatus({ code: api.SpanStatusCode.ERROR, message: messageOf(error) });
    }
    span.end();
  });
}

function attributesOf({ kind, model, priority, tenant }: ObservedRequest): Attributes {
  return {
    'gen_ai.operation.name': operations[kind],
    'gen_ai.provider.name': 'tesserae',
    'gen_ai.request.model': model,
    'tesserae.priority': priority,
    ...(tenant === '' ? {} : { 'tesserae.tenant': tenant }),
  };
}

function resultOf({ request, generatedTokens, cachedTokens, stopReason }: EndMessage): Attributes {
  const usage: Attributes = { 'gen_ai.usage.input_tokens': request.promptTokens };
  if (request.kind === 'embed') return usage;
  return {
    ...usage,
    'gen_ai.usage.output_tokens': generatedTokens,
    'gen_ai.usage.cache_read.input_tokens': cachedTokens,
    ...(stopReason === undefined ? {} : { 'gen_ai.response.finish_reasons': [finishReasons[stopReason] as string] }),
  };
}
