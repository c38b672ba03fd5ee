// Spans by OpenTelemetry's own SDK: one for each request, with its caller's span as parent, and the attributes of the semantic
// conventions for generative AI.
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, type ContextManager, context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { Engine } from '../../src/engine.js';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { expectAbort, expectRejection } from '../support/rejections.js';

/** Keeps the active span across promises, as the SDK for Node does. */
class Contexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    run: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => run.call(self as ThisParameterType<F>, ...args));
  }
  bind<T>(_context: Context, target: T): T {
    return target;
  }
  enable(): this {
    return this;
  }
  disable(): this {
    return this;
  }
}

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new Contexts());
afterAll(() => {
  trace.disable();
  context.disable();
});
beforeEach(() => exporter.reset());

const write = modelFiles();

test('a request is a span of its caller', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 28 });
  const model = await engine.loadModel(await write(tiny));
  await trace.getTracer('test').startActiveSpan('caller', async (span) => {
    await model.generate(someIds(40, tiny.vocab), { maxTokens: 6, ignoreEos: true, tenant: 'blue' }).result;
    await model.generateBatch([[1, 2, 3]], { maxTokens: 1 });
    span.end();
  });
  await model.embed([4, 5, 6, 7]);
  const [first, second, caller, embedding] = exporter.getFinishedSpans();
  expect(first?.name).toMatch(/^text_completion /);
  expect(first?.attributes).toMatchObject({
    'gen_ai.operation.name': 'text_completion',
    'gen_ai.provider.name': 'tesserae',
    'gen_ai.usage.input_tokens': 40,
    'gen_ai.usage.output_tokens': 6,
    'gen_ai.response.finish_reasons': ['length'],
    'tesserae.tenant': 'blue',
  });
  expect(first?.events.map(({ name }) => name)).toEqual(['first token']);
  expect(first?.parentSpanContext?.spanId).toBe(caller?.spanContext().spanId);
  expect(second?.parentSpanContext?.spanId).toBe(caller?.spanContext().spanId);
  expect(embedding?.name).toMatch(/^embeddings /);
  expect(embedding?.parentSpanContext).toBeUndefined();
  expect(embedding?.attributes).toMatchObject({ 'gen_ai.usage.input_tokens': 4 });
});

test('failures have their code, and aborted requests no error', async () => {
  await using engine = await Engine.create({ threads: 1, memoryBudget: 2 ** 28 });
  const model = await engine.loadModel(await write(tiny));
  const options = { maxTokens: 300, ignoreEos: true };
  const stop = new AbortController();
  const aborted = model.generate([1], { ...options, signal: stop.signal });
  await aborted.next();
  stop.abort('enough');
  await expectAbort(aborted.result, 'enough');
  const lost = model.generate([1], options);
  await lost.next();
  model.dispose();
  await expectRejection(lost.result, 'ERR_DISPOSED');
  const [left, failed] = exporter.getFinishedSpans();
  expect(failed?.status.code).toBe(SpanStatusCode.ERROR);
  expect(failed?.attributes).toMatchObject({ 'error.type': 'ERR_DISPOSED' });
  expect(left?.status.code).toBe(SpanStatusCode.UNSET);
  expect(left?.attributes).toMatchObject({ 'tesserae.aborted': true });
});
