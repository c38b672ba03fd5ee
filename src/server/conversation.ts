// Answers conversations outside of HTTP as the server does: with the plain template where a model has none, tools, formats and
// reasoning. Called by the ends for AI frameworks.
import type { ChatOptions, Model } from '../index.js';
import { readChatRequest, wrong } from '../openai/index.js';
import { answersOf, type NumberedPart } from './answers/answer.js';
import { leavesReasoning } from './answers/reasoning.js';
import { ServedModel } from './served-models.js';

export class Conversation {
  readonly #served: ServedModel;

  /** @param template in place of the model's own */
  constructor(model: Model, template?: string) {
    this.#served = new ServedModel('', model, template);
  }

  /**
   * The parts of an answer as they come, and its end. Leaving the iteration ends the generation.
   * @param body of OpenAI's chat completions; `more` goes before what it says
   * @throws TesseraeError ERR_ARGUMENT for what the body asks for and is not computed, and what `model.chat` throws
   */
  async *answer(body: object, more: ChatOptions = {}): AsyncGenerator<NumberedPart, void, void> {
    const { messages, options: asked, toolUse } = readChatRequest(body);
    if (toolUse?.format !== undefined && more.format !== undefined) {
      throw wrong('tools', 'that are strict, forced or not parallel cannot be combined with a format');
    }
    const { tokenizer, info } = this.#served.model;
    const options: ChatOptions = { maxTokens: info.sessionCapacity, ...asked, ...more };
    const mayReason = leavesReasoning(options.format);
    const isOpen = mayReason && (await this.#served.opensReasoning(options.variables));
    const reasoning = !mayReason ? 'none' : isOpen ? 'open' : 'closed';
    const generation = this.#served.chat(messages, options);
    yield* answersOf([generation], { tokenizer, toolUse, reasoning });
  }
}
