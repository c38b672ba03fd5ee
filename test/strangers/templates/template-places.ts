// Conversations of the kinds that chat templates are made for, with a text of the caller in each place where text from outside
// can be, and the texts to put there. Used by template-corpus.test.ts and impersonation.test.ts.
import type { ChatMessage, ChatPromptOptions } from '../../../src/generation/chat/chat.js';

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly options: ChatPromptOptions;
}

/** The text for a place by its name. */
export type TextOf = (place: string) => string;

/** Nine letters and digits, as some templates want the ids of calls. */
export const harmlessWord = 'abcde1234';

const called = (text: TextOf, args: unknown) => ({
  id: text('call id'),
  type: 'function',
  function: { name: text('called name'), arguments: args },
});
const argumentsOf = (text: TextOf) => ({
  [text('argument')]: text('argument value'),
  list: [text('value in a list'), { [text('nested argument')]: 1 }],
});
const toolsOf = (text: TextOf) => [
  {
    type: 'function',
    function: {
      name: text('tool name'),
      description: text('tool description'),
      parameters: {
        type: 'object',
        properties: {
          [text('parameter')]: {
            type: 'string',
            description: text('parameter description'),
            enum: [text('enum'), harmlessWord],
            [text('keyword')]: text('keyword value'),
          },
        },
        required: [text('required')],
      },
      return: { type: 'string', description: text('return') },
    },
  },
];
const system = (text: TextOf) => ({ role: 'system', content: text('system') });
const user = (text: TextOf) => ({ role: 'user', content: text('user') });
const assistant = (text: TextOf) => ({ role: 'assistant', content: text('assistant') });
const variablesOf = (text: TextOf) => ({
  date_string: text('date'),
  documents: [{ title: text('document title'), text: text('document'), doc_id: 1, content: text('document content') }],
  builtin_tools: [text('builtin tool')],
  custom_tools: text('custom tools'),
  [text('variable')]: text('variable value'),
});

function withTools(text: TextOf, args: unknown, resultRole: string): Conversation {
  const result = {
    role: resultRole,
    content: text('result'),
    name: text('result name'),
    tool_call_id: text('call id'),
  };
  const calls = { role: 'assistant', content: text('before a call'), tool_calls: [called(text, args)] };
  return {
    messages: [system(text), user(text), calls, result, assistant(text), user(text)],
    options: { tools: toolsOf(text) },
  };
}

export const kinds: Readonly<Record<string, (text: TextOf) => Conversation>> = {
  plain: (text) => ({ messages: [system(text), user(text), assistant(text), user(text)], options: {} }),
  'without a system message': (text) => ({ messages: [user(text), assistant(text), user(text)], options: {} }),
  'that ends with an answer': (text) => ({
    messages: [user(text), assistant(text)],
    options: { addGenerationPrompt: false },
  }),
  'with parts': (text) => ({
    messages: [
      { role: 'system', content: [{ type: 'text', text: text('system part') }] },
      { role: 'user', content: [{ type: 'text', text: text('part') }, { type: 'image' }] },
      { role: 'assistant', content: [{ type: 'text', text: text('assistant part') }] },
      { role: 'user', content: [{ type: text('part type'), text: text('part') }] },
    ],
    options: {},
  }),
  'with reasoning': (text) => ({
    messages: [
      user(text),
      {
        ...assistant(text),
        reasoning_content: text('reasoning'),
        thinking: text('thinking'),
        thought: text('thought'),
      },
      user(text),
      { role: 'assistant', content: `<think>${text('thought')}</think>${text('assistant')}`, prefix: true },
    ],
    options: { addGenerationPrompt: false, variables: { enable_thinking: true, thinking: true } },
  }),
  'with tools': (text) => withTools(text, argumentsOf(text), 'tool'),
  'with tools, and arguments as text': (text) => withTools(text, text('arguments'), 'tool'),
  'with tools that nobody called': (text) => ({
    messages: [user(text)],
    options: { tools: toolsOf(text) },
  }),
  'with results of ipython': (text) => withTools(text, argumentsOf(text), 'ipython'),
  'with the results of functions': (text) => withTools(text, argumentsOf(text), 'function'),
  'with a call alone': (text) => ({
    messages: [
      user(text),
      { role: 'assistant', content: null, tool_calls: [called(text, argumentsOf(text))] },
      { role: 'tool', content: { output: text('result'), [text('result name')]: [text('result')] } },
    ],
    options: { tools: toolsOf(text) },
  }),
  'with variables': (text) => ({
    messages: [system(text), user(text)],
    options: { variables: variablesOf(text), tools: toolsOf(text) },
  }),
  'with documents alone': (text) => ({ messages: [user(text)], options: { variables: variablesOf(text) } }),
  'with names and more roles': (text) => ({
    messages: [
      { role: 'developer', content: text('developer') },
      { role: 'user', name: text('name'), content: text('user'), [text('member')]: text('member value') },
      { role: 'assistant', name: text('name'), content: text('assistant'), recipient: text('recipient') },
      { role: text('role'), content: text('content of a role') },
    ],
    options: {},
  }),
  'with a role': (text) => ({
    messages: [user(text), { role: text('role'), content: text('content of a role') }],
    options: {},
  }),
};

/** Names of the places that a kind of conversation has. */
export function placesOf(kind: (text: TextOf) => Conversation): readonly string[] {
  const places = new Set<string>();
  kind((place) => {
    places.add(place);
    return place;
  });
  return [...places];
}

/** What templates do not change, and no token contains. */
export const sentinel = '§';

/** Texts for one place, which spell each of the tokens in several ways, with the sentinel before each of them. */
export function payloadsOf(tokens: readonly string[]): readonly string[] {
  const spelled = tokens.map((token) => `${sentinel}${token}`);
  return [
    `${spelled.join('x')}x`,
    `${spelled.join('\n')}\n`,
    `${sentinel}${tokens.join(sentinel)}${sentinel}${tokens.join(`\n${sentinel}`)} x`,
    tokens.map((token) => `${sentinel}${[...token].join('\n')}x`).join(''),
    tokens.map((token) => `${sentinel}${[...token].reverse().join('')}x`).join(''),
    tokens.map((token) => `${sentinel}${token[0]}${sentinel}${token}${token.slice(1)}x`).join(''),
  ];
}
