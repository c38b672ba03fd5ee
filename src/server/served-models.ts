// The models as clients see them: by name, and what their chat templates do with an answer. Called by the endpoints.

import { isObject } from '../base/json-view.js';
import { quote } from '../base/quote.js';
import { RecentlyUsed } from '../base/recently-used.js';
import type { ChatMessage, ChatOptions, Generation, Model } from '../index.js';
import { RequestError } from './error-replies.js';
import type { ServerSettings } from './server-options.js';

/** For models that were not trained on conversations. */
export const plainTemplate = `{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}`;

const variablesKept = 16;
const probe: readonly ChatMessage[] = [{ role: 'user', content: 'a' }];

export class ServedModel {
  readonly id: string;
  readonly model: Model;
  /** When it was first served, in seconds. */
  readonly created = nowSeconds();
  readonly #given: string | undefined;
  /** By the template's variables as JSON. */
  readonly #opensReasoning = new RecentlyUsed<string, boolean>(variablesKept);

  constructor(id: string, model: Model, template: string | undefined) {
    this.id = id;
    this.model = model;
    this.#given = template;
  }

  chat(messages: readonly ChatMessage[], options: ChatOptions): Generation {
    return this.model.chat(messages, { ...options, template: this.#template });
  }

  /** The template in place of the model's own; undefined where that is used. */
  get #template(): string | undefined {
    return this.#given ?? (this.model.info.hasChatTemplate ? undefined : plainTemplate);
  }

  /** Whether the prompt of a conversation ends within the model's reasoning, so that an answer begins there. */
  async opensReasoning(variables: ChatOptions['variables'] = {}): Promise<boolean> {
    const key = JSON.stringify(variables);
    const known = this.#opensReasoning.get(key);
    if (known !== undefined) return known;
    try {
      const prompt = await this.model.chatPrompt(probe, { variables, template: this.#template });
      const opens = prompt.trimEnd().endsWith('<think>');
      this.#opensReasoning.set(key, opens);
      return opens;
    } catch {
      // The messages of the client meet the same failure.
      return false;
    }
  }
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

export class ServedModels {
  readonly #byId: ReadonlyMap<string, ServedModel>;

  constructor({ models, chatTemplate }: ServerSettings) {
    this.#byId = new Map([...models].map(([id, model]) => [id, new ServedModel(id, model, chatTemplate)]));
  }

  get all(): ServedModel[] {
    return [...this.#byId.values()];
  }

  /** @throws RequestError 404 */
  byId(id: string): ServedModel {
    const model = this.#byId.get(id);
    if (model !== undefined) return model;
    throw new RequestError(404, 'model_not_found', `there is no model ${quote(id)}`);
  }

  /** The model that a body names; the only one where it names none. @throws RequestError 400, 404 */
  of(body: unknown): ServedModel {
    const name = isObject(body) ? body.model : undefined;
    if (typeof name === 'string') return this.byId(name);
    const [first, second] = this.#byId.values();
    if (name === undefined && first !== undefined && second === undefined) return first;
    throw new RequestError(400, 'ERR_ARGUMENT', name === undefined ? 'model is missing' : 'model must be a text');
  }
}
