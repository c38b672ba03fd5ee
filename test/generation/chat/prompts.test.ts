// What a conversation becomes before and after its template is rendered: checks, the choice of a template, its variables, the
// characters that have twins, and the tokens. The job of the thread for untrusted text runs here.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BackgroundWorker, type JobOptions } from '../../../src/base/background-worker.js';
import {
  Chat,
  type ChatMessage,
  type ChatPromptOptions,
  encodeChat,
  readChatTemplates,
  splitChatOptions,
} from '../../../src/generation/chat/chat.js';
import { renderTemplate, type TemplateJob } from '../../../src/generation/jinja/job.js';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.js';
import { tokenizerMetadata } from '../../support/tokenizers/tokenizer-metadata.js';

const jobs: { readonly job: TemplateJob; readonly options: JobOptions }[] = [];

beforeEach(() => {
  vi.spyOn(BackgroundWorker.prototype, 'run').mockImplementation(async (job, options) => {
    jobs.push({ job: job as TemplateJob, options });
    return renderTemplate(job as TemplateJob).value;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  jobs.length = 0;
});

const user = (content: unknown): ChatMessage => ({ role: 'user', content });
const argumentError = (message: string) => ({
  code: 'ERR_ARGUMENT',
  op: 'chat',
  message: expect.stringContaining(message),
});

function tokenizerOf(more: object = {}): Tokenizer {
  const tokens = { controlBeginnings: new Set(['<']), userTexts: [], bosId: 1, eosId: 2, addsBos: true };
  const tokenText = (id: number) => `<${id}>`;
  return { ...tokens, tokenText, ...more } as unknown as Tokenizer;
}

interface Arranged {
  readonly templates?: Readonly<Record<string, string>>;
  readonly tokenizer?: Tokenizer;
  readonly signal?: AbortSignal;
}

function render(
  messages: unknown,
  options: ChatPromptOptions = {},
  { templates = {}, tokenizer = tokenizerOf(), signal }: Arranged = {},
) {
  const chat = new Chat(new Map(Object.entries(templates)), tokenizer, 70);
  return chat.render(messages as ChatMessage[], options, { op: 'chat', signal });
}

const textOf = async (...given: Parameters<typeof render>) => (await render(...given)).text;

describe('messages', () => {
  test('are an array of objects with a role', async () => {
    for (const messages of ['hi', undefined, [], { length: 1 }]) {
      await expect(render(messages, { template: '' })).rejects.toMatchObject(argumentError('with at least one'));
    }
    const unreadable = Object.defineProperty({}, 'role', {
      get: () => {
        throw new Error('no');
      },
    });
    const called = Object.assign(() => {}, { role: 'user' });
    for (const [i, wrong] of [null, 'user', {}, { role: 7 }, unreadable, called].entries()) {
      const messages = [...Array.from({ length: i }, () => user('a')), wrong];
      await expect(render(messages, { template: '' })).rejects.toMatchObject(argumentError(`message ${i} must be`));
    }
  });

  test('are at most 100,000', async () => {
    const many = new Array(100_000).fill({ role: 'u' });
    expect(await textOf(many, { template: '{{ messages|length }}' })).toBe('100000');
    const more = render([...many, user('a')], { template: '' });
    await expect(more).rejects.toMatchObject(argumentError('expected at most 100000 messages, got 100001'));
  });

  test('have limits of depth, of values, and of text', async () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    const length = { template: '{{ messages|length }}' };
    expect(await textOf([user(nested(62))], length)).toBe('1');
    await expect(render([user(nested(63))], length)).rejects.toMatchObject(argumentError('64'));
    expect(await textOf([user(new Array(249_990).fill(1))], length)).toBe('1');
    await expect(render([user(new Array(250_000).fill(1))], length)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    const units = 6 * 2 ** 20;
    expect(await textOf([user('a'.repeat(units - 100))], length)).toBe('1');
    await expect(render([user('a'.repeat(units))], length)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  });
});

describe('the template', () => {
  const templates = { default: 'plain', tool_use: 'tools', 'a"b': 'other' };

  test('is the one that is given, that of the name, or the one for tools', async () => {
    const messages = [user('a')];
    expect(await textOf(messages, {}, { templates })).toBe('plain');
    expect(await textOf(messages, { tools: [] }, { templates })).toBe('tools');
    expect(await textOf(messages, { tools: null as never }, { templates })).toBe('plain');
    expect(await textOf(messages, { tools: [] }, { templates: { default: 'plain' } })).toBe('plain');
    expect(await textOf(messages, { templateName: 'a"b', tools: [] }, { templates })).toBe('other');
    expect(await textOf(messages, { template: 'own', templateName: 'a"b' }, { templates })).toBe('own');
    expect(await textOf(messages, { template: '' }, { templates })).toBe('');
  });

  test('must be there, and its name and itself texts', async () => {
    const messages = [user('a')];
    const chatError = (message: string) => ({ code: 'ERR_CHAT_TEMPLATE', op: 'chat', message: `chat: ${message}` });
    await expect(render(messages)).rejects.toMatchObject(
      chatError('the model has no chat template: give one as the option template'),
    );
    await expect(render(messages, { templateName: 'x' }, { templates })).rejects.toMatchObject(
      chatError('the model has no chat template "x", but "default", "tool_use", "a\\"b"'),
    );
    for (const name of ['template', 'templateName']) {
      const wrong = render(messages, { [name]: 7 }, { templates });
      await expect(wrong).rejects.toMatchObject(argumentError(`${name} must be a string, got number`));
    }
  });

  test('is rendered in its time, and fails as a template', async () => {
    const { signal } = new AbortController();
    await render([user('a')], { template: 'x' }, { signal });
    expect(jobs[0]?.options).toMatchObject({ timeoutMs: 70, signal });
    const failure = jobs[0]?.options.failure('is bad', undefined);
    expect(failure).toMatchObject({ code: 'ERR_CHAT_TEMPLATE', op: 'chat', message: 'chat: the chat template is bad' });
    const reason = new Error('enough');
    const aborted = render([user('a')], { template: 'x' }, { signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError', cause: reason });
  });

  test('of a model is that of its name in the metadata', () => {
    const string = (value: string) => ({ type: 'string', value }) as const;
    const metadata = tokenizerMetadata('gpt2', [], {
      'tokenizer.chat_template': string('a'),
      'tokenizer.chat_template.tool_use': string('b'),
      'tokenizer.chat_template.number': { type: 'u32', value: 7 },
      'tokenizer.chat_templates': string('c'),
    });
    expect([...readChatTemplates(metadata)]).toEqual([
      ['default', 'a'],
      ['tool_use', 'b'],
    ]);
  });
});

describe('the variables', () => {
  test('are those of the conversation, of the caller and of the model', async () => {
    const template =
      '{{ messages[0].content }}|{{ tools }}|{{ documents }}|{{ add_generation_prompt }}|{{ bos_token }}|{{ eos_token }}|{{ x }}';
    expect(await textOf([user('a')], { template })).toBe('a|None|None|True|<1>|<2>|');
    const variables = { x: 'y', documents: [1], messages: 'm', tools: 't', bos_token: 'b', add_generation_prompt: 'p' };
    const options = { template, variables, tools: [2], addGenerationPrompt: false };
    expect(await textOf([user('a')], options)).toBe('a|[2]|[1]|False|<1>|<2>|y');
    const tokenizer = tokenizerOf({ bosId: undefined, eosId: undefined });
    expect(await textOf([user('a')], { template }, { tokenizer })).toBe('a|None|None|True|||');
  });

  test('have twins for the beginnings of control tokens and of marks', async () => {
    const userTexts = ['[note]', '<<x>>', 'note', '[a', 'b]', '{c}', '😀', '[]', '[out]', 'x<y>', '<y>z'];
    const tokenizer = tokenizerOf({ userTexts, controlBeginnings: new Set(['|']) });
    const template = '[note]<<x>>note[a b]{c}😀[]x<y>z{{ messages[0].content }}';
    const { text, plain } = await render([user('[<|😀n')], { template }, { tokenizer });
    expect(text).toBe('[note]<<x>>note[a b]{c}😀[]x<y>z[<|😀n');
    expect([...plain.marks]).toEqual(['[note]', '<<x>>', '[]']);
    expect(jobs[0]?.job.input.firsts).toEqual(['|', '[', '<']);
    const at = text.indexOf('[<|');
    expect(Array.from(plain.places)).toEqual([at, at + 1, at + 2]);
  });

  test('marks are looked for once, for the templates that were used last', async () => {
    let reads = 0;
    const tokenizer = tokenizerOf();
    Object.defineProperty(tokenizer, 'userTexts', {
      get: () => {
        reads += 1;
        return ['<x>'];
      },
    });
    const chat = new Chat(new Map(), tokenizer, 70);
    const marksOf = async (template: string) => [
      ...(await chat.render([user('a')], { template }, { op: 'chat' })).plain.marks,
    ];
    expect([await marksOf('<x>'), await marksOf('<x>'), await marksOf('y')]).toEqual([['<x>'], ['<x>'], []]);
    expect(reads).toBe(2);
    for (const name of 'abcdefg') await marksOf(name);
    await marksOf('<x>');
    expect(reads).toBe(10);
    await marksOf('g');
    expect(reads).toBe(10);
  });

  test('marks among many texts are looked for in slices', async () => {
    const userTexts = Array.from({ length: 100 }, (_, i) => `<${i}>`);
    const { plain } = await render(
      [user('a')],
      { template: '<7><32><99><100>' },
      { tokenizer: tokenizerOf({ userTexts }) },
    );
    expect([...plain.marks]).toEqual(['<7>', '<32>', '<99>']);
  });
});

test('the options of the prompt are separated from the others', () => {
  const options = {
    template: 't',
    templateName: 'n',
    tools: [1],
    addGenerationPrompt: false,
    variables: { a: 1 },
    maxTokens: 3,
  };
  const { maxTokens, ...prompt } = options;
  expect(splitChatOptions(options, 'chat')).toEqual([prompt, { maxTokens }]);
  for (const wrong of [null, undefined, 'x', () => {}]) {
    const message = expect.stringContaining('the options must be an object');
    expect(() => splitChatOptions(wrong as never, 'chat')).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', op: 'chat', message }),
    );
  }
});

describe('the tokens', () => {
  const prompt = { text: 'x', plain: { places: [1], marks: new Set(['m']) } };

  test.each([
    ['that are there already', { addsBos: true, bosId: 1 }, [1, 5], [1, 5]],
    ['that are not', { addsBos: true, bosId: 1 }, [5, 1], [1, 5, 1]],
    ['of a model that expects none', { addsBos: false, bosId: 1 }, [5], [5]],
    ['of a model that has none', { addsBos: true, bosId: undefined }, [5], [5]],
    ['of a text without any', { addsBos: true, bosId: 1 }, [], [1]],
  ])('begin with BOS once: %s', async (_, more, ids, expected) => {
    const encodeAsync = async () => [...ids];
    expect(await encodeChat(prompt, tokenizerOf({ ...more, encodeAsync }))).toEqual(expected);
  });

  test('are encoded with special ones, but at plain places', async () => {
    const given: unknown[] = [];
    const encodeAsync = async (...all: unknown[]) => {
      given.push(all);
      return [1];
    };
    const { signal } = new AbortController();
    await encodeChat(prompt, tokenizerOf({ encodeAsync }), signal);
    await encodeChat(prompt, tokenizerOf({ encodeAsync }));
    const { plain } = prompt;
    expect(given).toEqual([
      ['x', { special: true, plain, signal }],
      ['x', { special: true, plain }],
    ]);
    expect(Object.keys((given[1] as object[])[1] as object)).toEqual(['special', 'plain']);
  });
});
