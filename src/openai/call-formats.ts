// What holds calls of tools to the schemas of their arguments: an answer that is nothing but calls, or text in which a call
// follows where the model begins one. Called by tools.ts.
import { isObject } from '../base/json-view.js';
import type { Format } from '../index.js';
import type { Tool } from './tool.js';

type Schema = Readonly<Record<string, unknown>>;

const mostForced = 16;
const anyObject: Schema = { type: 'object' };

/** How a call without a marker begins, as Llama 3.1 writes it. The server looks for it, too. */
export const bareOpening = '{"name":';

/** An array of calls, of at least one and of no more than one where they are not parallel. */
export function forcedCalls(tools: readonly Tool[], isParallel: boolean): Format {
  return { jsonSchema: listOfCalls(tools, isParallel, ({ function: { parameters } }) => parameters) };
}

/**
 * Text in which calls are as Hermes, Qwen, Mistral and Llama 3.1 mark them: the arguments of strict functions match their
 * schemas, those of others are objects.
 */
export function markedCalls(tools: readonly Tool[], isParallel: boolean): Format {
  const schemaOf = ({ function: { parameters, strict } }: Tool) => (strict === true ? parameters : undefined);
  /** After a call the text is free again, for another call, too. Without an end, a call is the end of the answer. */
  const ending = (text: string) => (isParallel ? { end: text } : {});
  const list = listOfCalls(tools, isParallel, schemaOf);
  const bare = anyCall(tools, 'parameters', schemaOf);
  return {
    tags: [
      { begin: '<tool_call>\n', jsonSchema: anyCall(tools, 'arguments', schemaOf), ...ending('\n</tool_call>') },
      { begin: '[TOOL_CALLS]', jsonSchema: list },
      { begin: '[TOOL_CALLS] ', jsonSchema: list },
      ...tools.flatMap((tool) => {
        const jsonSchema = embedded(schemaOf(tool));
        const begin = `[TOOL_CALLS]${tool.function.name}`;
        return [begin, `${begin}[ARGS]`].map((one) => ({ begin: one, jsonSchema, ...ending('') }));
      }),
      { begin: '<|python_tag|>', jsonSchema: bare },
      { begin: '', jsonSchema: bare },
    ],
    triggers: ['<tool_call>', '</tool_call>', '[TOOL_CALLS]', '[ARGS]', '<|python_tag|>'],
    opening: bareOpening,
  };
}

function listOfCalls(tools: readonly Tool[], isParallel: boolean, schemaOf: (tool: Tool) => unknown): Schema {
  const items = anyCall(tools, 'arguments', schemaOf);
  return { type: 'array', items, minItems: 1, maxItems: isParallel ? mostForced : 1 };
}

function anyCall(tools: readonly Tool[], key: 'arguments' | 'parameters', schemaOf: (tool: Tool) => unknown): Schema {
  const calls = tools.map((tool) => ({
    type: 'object',
    properties: { name: { const: tool.function.name }, [key]: embedded(schemaOf(tool)) },
    required: ['name', key],
    additionalProperties: false,
  }));
  const [first] = calls;
  return calls.length === 1 && first !== undefined ? first : { anyOf: calls };
}

/** A schema of arguments within another one: with an `$id`, its references lead into itself. */
function embedded(schema: unknown): Schema {
  return isObject(schema) ? { $id: 'arguments', ...schema } : anyObject;
}
