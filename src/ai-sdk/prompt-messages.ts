// The prompt and the tools of a call of the AI SDK as fields of a body of chat completions. Called by language-model.ts.
import type {
  LanguageModelV3CallOptions,
  LanguageModelV3Message,
  LanguageModelV3ToolResultPart,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { TesseraeError } from '../base/errors.js';

/** @throws TesseraeError ERR_UNSUPPORTED for files */
export function messagesOf(prompt: LanguageModelV3CallOptions['prompt']): object[] {
  return prompt.flatMap(messagesOfOne);
}

function messagesOfOne(message: LanguageModelV3Message): object[] {
  const { role, content } = message;
  if (role === 'system') return [{ role, content }];
  if (role === 'tool') {
    return content.flatMap((part) => (part.type === 'tool-result' ? [resultMessage(part)] : []));
  }
  let text = '';
  const calls: object[] = [];
  const results: object[] = [];
  for (const part of content) {
    if (part.type === 'text') text += part.text;
    else if (part.type === 'tool-call') {
      const { toolCallId: id, toolName: name, input } = part;
      calls.push({ id, type: 'function', function: { name, arguments: JSON.stringify(input) } });
    } else if (part.type === 'tool-result') results.push(resultMessage(part));
    else if (part.type === 'file') {
      throw new TesseraeError(
        'ERR_UNSUPPORTED',
        `a file of type ${part.mediaType} in a message: models here read texts`,
      );
    }
  }
  return [{ role, content: text, ...(calls.length === 0 ? {} : { tool_calls: calls }) }, ...results];
}

function resultMessage({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart): object {
  return { role: 'tool', tool_call_id: toolCallId, name: toolName, content: textOf(output) };
}

function textOf(output: LanguageModelV3ToolResultPart['output']): string {
  if (output.type === 'text' || output.type === 'error-text') return output.value;
  if (output.type === 'json' || output.type === 'error-json') return JSON.stringify(output.value);
  if (output.type === 'execution-denied') return output.reason ?? 'the execution was denied';
  const other = output.value.find(({ type }) => type !== 'text');
  if (other !== undefined)
    throw new TesseraeError('ERR_UNSUPPORTED', `a tool's result with a part of type ${other.type}`);
  return output.value.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
}

/** `tools` and `tool_choice`; a warning for each tool that only a provider could run. */
export function toolsOf(
  { tools = [], toolChoice = { type: 'auto' } }: LanguageModelV3CallOptions,
  warnings: SharedV3Warning[],
): { readonly tools?: object[]; readonly tool_choice?: unknown } {
  const known = tools.flatMap((tool) => {
    if (tool.type === 'function') {
      const { name, description, inputSchema: parameters, strict } = tool;
      const given = {
        ...(description === undefined ? {} : { description }),
        ...(strict === undefined ? {} : { strict }),
      };
      return [{ type: 'function', function: { name, ...given, parameters } }];
    }
    warnings.push({ type: 'unsupported', feature: `the tool ${tool.id}` });
    return [];
  });
  if (known.length === 0) return {};
  const { type } = toolChoice;
  const choice = type === 'tool' ? { type: 'function', function: { name: toolChoice.toolName } } : type;
  return { tools: known, tool_choice: choice };
}
