// LangChain's messages and choice of tools as fields of a body of chat completions. Called by chat-model.ts.
import type { AIMessage, BaseMessage, ToolMessage } from '@langchain/core/messages';
import { TesseraeError } from '../base/errors.js';

const roles: Readonly<Record<string, string>> = { human: 'user', ai: 'assistant', system: 'system', tool: 'tool' };

/** @throws TesseraeError ERR_UNSUPPORTED for contents other than texts */
export function messagesOf(messages: readonly BaseMessage[]): object[] {
  return messages.map((message) => {
    const type = message.getType();
    const role = roles[type] ?? (message as BaseMessage & { role?: string }).role ?? type;
    const content = textOf(message.content);
    if (type === 'tool') {
      const { tool_call_id, name } = message as ToolMessage;
      return { role, content, tool_call_id, ...(name === undefined ? {} : { name }) };
    }
    const calls = type === 'ai' ? ((message as AIMessage).tool_calls ?? []) : [];
    if (calls.length === 0) return { role, content };
    const tool_calls = calls.map(({ id, name, args }) => {
      return { id, type: 'function', function: { name, arguments: JSON.stringify(args) } };
    });
    return { role, content, tool_calls };
  });
}

function textOf(content: BaseMessage['content']): string {
  if (typeof content === 'string') return content;
  return content.map(textOfBlock).join('');
}

function textOfBlock(block: { readonly type: string; readonly text?: unknown }): string {
  if (block.type === 'text') return String(block.text ?? '');
  // Parts of earlier answers that reach the model by other fields, or not at all.
  if (['tool_call', 'tool_use', 'reasoning'].includes(block.type)) return '';
  throw new TesseraeError('ERR_UNSUPPORTED', `a message with a part of type ${block.type}: models here read texts`);
}

/** LangChain writes `any` for `required`, and a tool's name for itself. */
export function toolChoiceOf(choice: unknown): unknown {
  if (choice === 'any') return 'required';
  if (typeof choice !== 'string' || ['auto', 'none', 'required'].includes(choice)) return choice;
  return { type: 'function', function: { name: choice } };
}
