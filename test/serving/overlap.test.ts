// What this thread does while a step is computed: the texts of the step before are made and handed on then.
import { afterEach, expect, test, vi } from 'vitest';
import { modelFiles, someIds, tiny } from '../support/models/model-files.js';
import { sharedEngines } from '../support/running/engines.js';
import { observeSteps } from '../support/running/serving.js';

const engines = sharedEngines();
const write = modelFiles();
const options = { maxTokens: 6, ignoreEos: true };
afterEach(() => {
  vi.restoreAllMocks();
});

async function load() {
  const engine = await engines({ threads: 2 });
  return engine.loadModel(await write(tiny));
}

test('a piece comes when the next step has begun, unless other work of the process is due', async () => {
  using model = await load();
  await model.warmup();
  const steps = observeSteps();
  const begun: number[] = [];
  for await (const _ of model.generate(someIds(5, tiny.vocab), { ...options, maxTokens: 32 })) begun.push(steps.length);
  expect(begun).toHaveLength(32);
  expect(begun.filter((count, index) => count === index + 2).length).toBeGreaterThan(8);
});

test('with stop sequences, which may end the request, it comes before', async () => {
  using model = await load();
  await model.warmup();
  const { text } = await model.generate(someIds(5, tiny.vocab), { ...options, maxTokens: 3 }).result;
  const steps = observeSteps();
  const { result } = model.generate(someIds(5, tiny.vocab), { ...options, stop: [text] });
  expect(await result).toMatchObject({ stopReason: 'stop', stopSequence: text });
  expect(steps).toHaveLength(3);
});

test('a failing decoder of text fails its request alone', async () => {
  using model = await load();
  const alone = await model.generate(someIds(7, tiny.vocab), options).result;
  const { tokenizer } = model;
  const decoder = tokenizer.decoder.bind(tokenizer);
  const spy = vi.spyOn(tokenizer, 'decoder').mockImplementationOnce((...args) => {
    const real = decoder(...args);
    let pushed = 0;
    return {
      push(id: number) {
        if (pushed++ === 2) throw new TypeError('as the test wants it');
        return real.push(id);
      },
      end: () => real.end(),
    };
  });
  const failing = model.generate(someIds(5, tiny.vocab), options).result;
  await expect.poll(() => spy.mock.calls.length).toBe(1);
  const sound = model.generate(someIds(7, tiny.vocab), options).result;
  await expect(failing).rejects.toThrow('as the test wants it');
  expect((await sound).tokens).toEqual(alone.tokens);
  await expect.poll(() => model.serving).toMatchObject({ queued: 0, running: 0, pagesUsed: 0 });
});
