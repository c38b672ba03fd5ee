// The tools of a request: what a body says of them, and the calls that an answer makes of them. Called by
// chat-requests.ts and by the server, which finds the calls.
import type { ChatMessage, Format } from '../index.js';
import { type BodyFields, wrong } from './body-fields.js';
import { forcedCalls, markedCalls } from './call-formats.js';
import type { Tool } from './tool.js';

/** A call that an answer makes, as chat completions write it. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  /** `arguments` is JSON. */
  readonly function: { readonly name: string; readonly arguments: string };
}

/** The tools that an answer may call, or must. */
export interface ToolUse {
  readonly tools: readonly Tool[];
  /** Whether the answer is nothing but calls, has calls only as its format marks them, or is as the model writes it. */
  readonly calls: 'forced' | 'marked' | 'free';
  /** What holds the answer to that. */
  readonly format: Format | undefined;
}

const mostTools = 128;

/** Undefined where there is nothing to call. @throws TesseraeError ERR_ARGUMENT */
export function toolUseOf(fields: BodyFields): ToolUse | undefined {
  const [tools, choice] = [fields.take('tools'), fields.take('tool_choice')];
  return toolUse(tools, choice, fields.flag('parallel_tool_calls'));
}

/** The same of the values themselves, as chat completions have them. @throws TesseraeError ERR_ARGUMENT */
export function toolUse(given: unknown, wanted: unknown, isParallel: boolean | undefined): ToolUse | undefined {
  const tools = toolsOf(given);
  const choice = wanted ?? (tools.length === 0 ? 'none' : 'auto');
  if (choice === 'none') return undefined;
  if (tools.length === 0) throw wrong('tool_choice', 'needs tools');
  if (choice === 'auto') {
    const isHeld = isParallel === false || tools.some((tool) => tool.function.strict === true);
    if (!isHeld) return { tools, calls: 'free', format: undefined };
    return { tools, calls: 'marked', format: markedCalls(tools, isParallel !== false) };
  }
  if (choice === 'required') return { tools, calls: 'forced', format: forcedCalls(tools, isParallel !== false) };
  const { type, function: named } = choice as { type?: unknown; function?: { name?: unknown } };
  const tool = tools.find((one) => one.function.name === named?.name);
  if (type !== 'function' || tool === undefined) {
    throw wrong('tool_choice', 'must be none, auto, required, or a function of tools by its name');
  }
  return { tools, calls: 'forced', format: forcedCalls([tool], false) };
}

function toolsOf(value: unknown): Tool[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > mostTools) throw wrong('tools', `must be an array of up to ${mostTools}`);
  return value.map((tool: Tool | null | undefined, index) => {
    const { type, function: described } = tool ?? {};
    const name: unknown = described?.name;
    if (type !== 'function' || typeof name !== 'string' || !/^[\w.-]{1,128}$/.test(name)) {
      throw wrong(`tools[${index}]`, 'must be a function with a name of letters, digits, _, - and .');
    }
    const { parameters, strict } = described as { parameters?: unknown; strict?: unknown };
    if (typeof (strict ?? false) !== 'boolean') throw wrong(`tools[${index}].function.strict`, 'must be true or false');
    if (parameters !== undefined && (typeof parameters !== 'object' || parameters === null)) {
      throw wrong(`tools[${index}].function.parameters`, 'must be a JSON schema');
    }
    return tool as Tool;
  });
}

/**
 * Messages as templates expect them: arguments of earlier calls as objects, where bodies have them as JSON, and `system`
 * for `developer`.
 */
export function templateMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) => {
    const role = message.role === 'developer' ? 'system' : message.role;
    const { tool_calls: calls } = message;
    if (!Array.isArray(calls)) return { ...message, role };
    return { ...message, role, tool_calls: calls.map(withParsedArguments) };
  });
}

function withParsedArguments(call: unknown): unknown {
  const { function: named } = (call ?? {}) as { function?: { arguments?: unknown } };
  if (typeof named?.arguments !== 'string') return call;
  try {
    return { ...(call as object), function: { ...named, arguments: JSON.parse(named.arguments) } };
  } catch {
    return call;
  }
}
