// The job of rendering a template, as the thread for untrusted text takes it, and the templates that it keeps parsed. Called
// by workers/text.ts; chat/chat-template.ts sends it.
import { messageOf } from '../../base/describe.js';
import { RecentlyUsed } from '../../base/recently-used.js';
import { Template, type TemplateInput } from './template.js';
import { TemplateError } from './values.js';

export interface TemplateJob {
  readonly kind: 'template';
  readonly source: string;
  readonly input: TemplateInput;
}

const templatesKept = 8;
/** Parsed templates by their source. */
const templates = new RecentlyUsed<string, Template>(templatesKept);

/** @throws Error whose message continues "the chat template" */
export function renderTemplate({ source, input }: TemplateJob): { value: unknown; transfer: ArrayBuffer[] } {
  try {
    const template = templates.get(source) ?? new Template(source);
    templates.set(source, template);
    const value = template.render(input);
    return { value, transfer: [value.places.buffer] };
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    throw new TemplateError(`fails: ${messageOf(error)}`);
  }
}
