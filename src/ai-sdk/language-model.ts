// A model as a language model of the Vercel AI SDK: conversations, tools, formats, reasoning, streams, cancelling, usage. Made by
// provider.ts.
import { randomUUID } from 'node:crypto';
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
  SharedV3Warning,
} from '@ai-sdk/provider';
import type { ChatOptions, Model } from '../index.js';
import type { AnswerEnd, AnswerPart, NumberedPart } from '../server/answers/answer.js';
import { Conversation } from '../server/conversation.js';
import { messagesOf, toolsOf } from './prompt-messages.js';

type Parts = AsyncGenerator<NumberedPart, void, void>;

export class TesseraeLanguageModel implements LanguageModelV3 {
  readonly specificationVersion = 'v3';
  readonly provider = 'tesserae';
  readonly modelId: string;
  /** No URLs are read. */
  readonly supportedUrls = {};
  // `ai` 7 wraps models in proxies, which do not reach members named with #.
  private readonly conversation: Conversation;

  constructor(modelId: string, model: Model, template: string | undefined) {
    this.modelId = modelId;
    this.conversation = new Conversation(model, template);
  }

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const { parts, warnings } = this.answer(options);
    let [text, reasoning] = ['', ''];
    const calls: LanguageModelV3Content[] = [];
    for await (const item of parts) {
      if ('part' in item) {
        text += item.part.content;
        reasoning += item.part.reasoning;
        calls.push(...toolCalls(item.part));
        continue;
      }
      const content: LanguageModelV3Content[] = [];
      if (reasoning !== '') content.push({ type: 'reasoning', text: reasoning });
      if (text !== '') content.push({ type: 'text', text });
      content.push(...calls);
      return { content, ...endingOf(item.end), warnings };
    }
    throw new Error('an answer without an end');
  }

  /** Rejects for what fails before there is a first part. */
  async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const { parts, warnings } = this.answer(options);
    const first = await parts.next();
    const streamed = streamOf(first, parts, warnings);
    const stream = new ReadableStream<LanguageModelV3StreamPart>({
      async pull(controller) {
        const { done, value } = await streamed.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await streamed.return();
        await parts.return();
      },
    });
    return { stream };
  }

  private answer(options: LanguageModelV3CallOptions): { parts: Parts; warnings: SharedV3Warning[] } {
    const warnings: SharedV3Warning[] = [];
    const { prompt, maxOutputTokens, temperature, topP, seed, presencePenalty, frequencyPenalty } = options;
    const body = {
      messages: messagesOf(prompt),
      max_tokens: maxOutputTokens,
      temperature,
      top_p: topP,
      seed,
      presence_penalty: presencePenalty,
      frequency_penalty: frequencyPenalty,
      response_format: formatOf(options.responseFormat),
      ...toolsOf(options, warnings),
    };
    return { parts: this.conversation.answer(body, moreOf(options)), warnings };
  }
}

/** What bodies of chat completions lack, and options of ours by the name of the provider. */
function moreOf({ topK, stopSequences, abortSignal, providerOptions }: LanguageModelV3CallOptions): ChatOptions {
  return {
    ...(topK === undefined ? {} : { topK }),
    ...(stopSequences === undefined ? {} : { stop: stopSequences }),
    ...(abortSignal === undefined ? {} : { signal: abortSignal }),
    ...(providerOptions?.tesserae as ChatOptions | undefined),
  };
}

function formatOf(format: LanguageModelV3CallOptions['responseFormat']): object | undefined {
  if (format?.type !== 'json') return undefined;
  const { schema } = format;
  return schema === undefined ? { type: 'json_object' } : { type: 'json_schema', json_schema: { schema } };
}

async function* streamOf(
  first: IteratorResult<NumberedPart, void>,
  parts: Parts,
  warnings: SharedV3Warning[],
): AsyncGenerator<LanguageModelV3StreamPart, void, void> {
  yield { type: 'stream-start', warnings };
  let block: 'text' | 'reasoning' | undefined;
  let id = '';
  /** Text and reasoning are in blocks of their own, each begun and ended. */
  function* within(kind: typeof block): Generator<LanguageModelV3StreamPart> {
    if (block === kind) return;
    if (block !== undefined) yield { type: `${block}-end`, id };
    block = kind;
    if (kind === undefined) return;
    id = randomUUID();
    yield { type: `${kind}-start`, id };
  }
  try {
    for (let step = first; step.done !== true; step = await parts.next()) {
      const item = step.value;
      if ('end' in item) {
        yield* within(undefined);
        yield { type: 'finish', ...endingOf(item.end) };
        continue;
      }
      const { reasoning, content } = item.part;
      if (reasoning !== '') {
        yield* within('reasoning');
        yield { type: 'reasoning-delta', id, delta: reasoning };
      }
      if (content !== '') {
        yield* within('text');
        yield { type: 'text-delta', id, delta: content };
      }
      for (const call of toolCalls(item.part)) {
        const { toolCallId, toolName, input } = call;
        yield* within(undefined);
        yield { type: 'tool-input-start', id: toolCallId, toolName };
        yield { type: 'tool-input-delta', id: toolCallId, delta: input };
        yield { type: 'tool-input-end', id: toolCallId };
        yield call;
      }
    }
  } catch (error) {
    yield { type: 'error', error };
  }
}

function toolCalls({ calls }: AnswerPart): (LanguageModelV3Content & { readonly type: 'tool-call' })[] {
  return calls.map(({ id, function: { name, arguments: input } }) => {
    return { type: 'tool-call', toolCallId: id, toolName: name, input };
  });
}

function endingOf({ finishReason, promptTokens, tokens, reasoningTokens }: AnswerEnd): {
  finishReason: LanguageModelV3FinishReason;
  usage: LanguageModelV3Usage;
} {
  const unified = finishReason === 'tool_calls' ? 'tool-calls' : finishReason;
  const inputTokens = { total: promptTokens, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
  const outputTokens = { total: tokens, text: tokens - reasoningTokens, reasoning: reasoningTokens };
  return { finishReason: { unified, raw: finishReason }, usage: { inputTokens, outputTokens } };
}
