// The job of rendering a template, as the thread for untrusted text takes it, and the templates that it keeps parsed. Called
// by workers/text.ts; chat/chat-template.ts sends it.
import { Template, type TemplateInput } from './template.js';
import { TemplateError } from './values.js';

export interface TemplateJob {
  readonly kind: 'template';
  readonly source: string;
  readonly input: TemplateInput;
}

const templatesKept = 8;
/** Parsed templates by their source, the one used last at the end. */
const templates = new Map<string, Template>();

/** @throws Error whose message continues "the chat template" */
export function renderTemplate({ source, input }: TemplateJob): { value: unknown; transfer: ArrayBuffer[] } {
  try {
    const template = templates.get(source) ?? new Template(source);
    templates.delete(source);
    if (templates.size === templatesKept) templates.delete(templates.keys().next().value as string);
    templates.set(source, template);
    const value = template.render(input);
    return { value, transfer: [value.places.buffer] };
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new TemplateError(`fails: ${message}`);
  }
}
