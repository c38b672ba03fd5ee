// A model that answers with given pieces, behind handlers without sockets. Used by the tests of what the server makes of an
// answer.
import type { ChatOptions, Engine, Model } from '../../src/index.js';
import { Handlers } from '../../src/server/handlers.js';
import { serverSettings } from '../../src/server/server-options.js';

/** Control tokens by their ids; all other pieces are text. */
const control: Readonly<Record<number, string>> = { 1: '[TOOL_CALLS]', 2: '<|python_tag|>', 3: '<|eot_id|>' };

export interface Script {
  readonly pieces: readonly (string | number)[];
  readonly stopReason?: string;
  /** The end of the prompt that the template makes. */
  readonly promptEnd?: string;
  readonly hasChatTemplate?: boolean;
}

/** The options of the last chat are kept in `seen`. */
export function scriptedModel({ pieces, stopReason = 'eos', promptEnd = '', hasChatTemplate = true }: Script) {
  const seen: { messages?: unknown; options?: ChatOptions } = {};
  const generation = () => {
    const result = { stopReason, promptTokens: 3, tokens: pieces.map((_, i) => i), text: '' };
    const steps = (async function* () {
      for (const piece of pieces) {
        const isText = typeof piece === 'string';
        yield { id: isText ? 100 : piece, text: isText ? piece : '' };
      }
      return result;
    })();
    return Object.assign(steps, { [Symbol.asyncDispose]: async () => {} });
  };
  const model = {
    info: { sessionCapacity: 64, hasChatTemplate },
    tokenizer: {
      isControl: (id: number) => id in control,
      tokenText: (id: number) => control[id] ?? 'x',
    },
    chatPrompt: async () => `a${promptEnd}`,
    generate: generation,
    chat: (messages: unknown, options: ChatOptions) => {
      Object.assign(seen, { messages, options });
      return generation();
    },
  };
  return { model: model as unknown as Model, seen };
}

/** The options of the last chat are kept in `seen`. */
export function scriptedHandlers(script: Script) {
  const { model, seen } = scriptedModel(script);
  const engine = { pressure: () => ({ expectedWaitMs: 0 }) };
  const settings = serverSettings({
    engine: engine as unknown as Engine,
    models: { scripted: model },
  });
  return { handlers: new Handlers(settings), seen };
}

/** Posts a body to handlers and gives the status and the body, or the events of a stream. */
export async function ask(handlers: Handlers, path: string, body: object) {
  const { signal } = new AbortController();
  const head = { method: 'POST', path, headers: { host: 'localhost', 'content-type': 'application/json' } };
  const reply = await handlers.handle({ ...head, body: Buffer.from(JSON.stringify(body)), signal });
  if (typeof reply.body === 'string') return { status: reply.status, body: JSON.parse(reply.body), events: [] };
  let text = '';
  for await (const events of reply.body) text += events;
  return { status: reply.status, body: undefined, events: text.split('\n\n').slice(0, -1) };
}
