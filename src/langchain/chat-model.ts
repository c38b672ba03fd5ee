// A model as a chat model of LangChain: streams, tools, structured output, cancelling, usage.
import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
} from '@langchain/core/language_models/chat_models';
import {
  AIMessageChunk,
  type AIMessageChunkFields,
  type BaseMessage,
  type UsageMetadata,
} from '@langchain/core/messages';
import { ChatGenerationChunk, type ChatResult } from '@langchain/core/outputs';
import { convertToOpenAITool } from '@langchain/core/utils/function_calling';
import type { ChatOptions, Model } from '../index.js';
import type { AnswerEnd } from '../server/answers/answer.js';
import { Conversation } from '../server/conversation.js';
import { messagesOf, toolChoiceOf } from './message-fields.js';

export interface ChatTesseraeInput extends BaseChatModelParams {
  /** A loaded model. It stays the application's, which disposes it. */
  readonly model: Model;
  /** Options of `model.chat` for all calls. */
  readonly options?: ChatTesseraeOptions;
  /** A Jinja template for conversations, in place of the model's own. */
  readonly chatTemplate?: string;
}

export type ChatTesseraeOptions = Omit<ChatOptions, 'signal' | 'tools' | 'template'>;

export interface ChatTesseraeCallOptions extends BaseChatModelCallOptions {
  /** Descriptions of functions as OpenAI's API has them; see `bindTools`. */
  readonly tools?: readonly object[];
  /** For `bindTools`: the arguments of calls match the schemas of the tools. */
  readonly strict?: boolean;
  /** Whether an answer may have several calls; true by default. */
  readonly parallel_tool_calls?: boolean;
  /** Options of `model.chat` for this call. */
  readonly options?: ChatTesseraeOptions;
}

export class ChatTesserae extends BaseChatModel<ChatTesseraeCallOptions> {
  readonly #conversation: Conversation;
  readonly #options: ChatTesseraeOptions;

  constructor({ model, options = {}, chatTemplate, ...rest }: ChatTesseraeInput) {
    super(rest);
    this.#conversation = new Conversation(model, chatTemplate);
    this.#options = options;
    // An answer by a schema is a call of a tool, which LangChain leaves to the model; here it is forced.
    const forced = { bindTools: (tools: BindToolsInput[]) => this.bindTools(tools, { tool_choice: 'required' }) };
    this.withStructuredOutput = super.withStructuredOutput.bind(forced as this) as this['withStructuredOutput'];
  }

  static override lc_name(): string {
    return 'ChatTesserae';
  }

  override _llmType(): string {
    return 'tesserae';
  }

  override bindTools(tools: BindToolsInput[], { strict, ...kwargs }: Partial<ChatTesseraeCallOptions> = {}) {
    const fields = strict === undefined ? undefined : { strict };
    const described = tools.map((tool) =>
      convertToOpenAITool(tool as Parameters<typeof convertToOpenAITool>[0], fields),
    );
    return this.withConfig({ ...kwargs, tools: described });
  }

  override async _generate(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let all: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, runManager)) {
      all = all === undefined ? chunk : all.concat(chunk);
    }
    const { text, message } = all as ChatGenerationChunk;
    return { generations: [{ text, message }] };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    { tools = [], tool_choice, parallel_tool_calls, stop, signal, options }: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const asked = { tools, tool_choice: toolChoiceOf(tool_choice), parallel_tool_calls };
    const choice = tools.length === 0 ? {} : asked;
    const more: ChatOptions = {
      ...this.#options,
      ...options,
      ...(stop === undefined ? {} : { stop }),
      ...(signal === undefined ? {} : { signal }),
    };
    let calls = 0;
    for await (const item of this.#conversation.answer({ messages: messagesOf(messages), ...choice }, more)) {
      if ('end' in item) {
        yield new ChatGenerationChunk({ text: '', message: endingOf(item.end) });
        continue;
      }
      const { content, reasoning, calls: made } = item.part;
      const message = new AIMessageChunk({
        content,
        tool_call_chunks: made.map(({ id, function: { name, arguments: args } }) => {
          return { type: 'tool_call_chunk' as const, index: calls++, id, name, args };
        }),
        additional_kwargs: reasoning === '' ? {} : { reasoning_content: reasoning },
      });
      const chunk = new ChatGenerationChunk({ text: content, message });
      yield chunk;
      await runManager?.handleLLMNewToken(content, undefined, undefined, undefined, undefined, { chunk });
    }
  }
}

function endingOf({ finishReason, promptTokens, tokens, reasoningTokens }: AnswerEnd): AIMessageChunk {
  const usage_metadata: UsageMetadata = {
    input_tokens: promptTokens,
    output_tokens: tokens,
    total_tokens: promptTokens + tokens,
    ...(reasoningTokens === 0 ? {} : { output_token_details: { reasoning: reasoningTokens } }),
  };
  const response_metadata = { finish_reason: finishReason, model_provider: 'tesserae' };
  // The type of the fields has no usage where optional properties are exact.
  const fields: unknown = { content: '', usage_metadata, response_metadata };
  return new AIMessageChunk(fields as AIMessageChunkFields);
}
