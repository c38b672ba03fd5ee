// Renders templates for the tests of this folder, with data whose first characters have twins and without.
import { expect } from 'vitest';
import { Template } from '../../../src/generation/jinja/template.js';

export type Variables = Readonly<Record<string, unknown>>;

/** A template, and what Jinja2 renders of it. */
export type Case = readonly [template: string, text: string];

/** Variables of the common types, for operators and comparisons. */
export const ordinaryValues = {
  s: 'Hello World',
  wide: 'héé😀z',
  html: '<b>',
  l: [3, 1, 2],
  d: { a: 1, '<k': { b: [2] } },
  f: 2.5,
  big: 1e16,
};

/** @param firsts characters of the variables that have twins meanwhile */
export function render(template: string, variables: Variables = {}, firsts: readonly string[] = []): string {
  return new Template(template).render({ firsts, json: JSON.stringify(variables), trusted: {} }).text;
}

/** Characters for twins: none, a few, and more than are replaced one after the other. */
const twins = [[], ['<', 'a', 'é'], [...'<aHb1 x,-😀']];

/** Holds that each template gives its text, whatever has twins. */
export function expectTexts(cases: readonly Case[], variables: Variables = {}): void {
  for (const firsts of twins) {
    for (const [template, text] of cases) {
      expect({ template, text: render(template, variables, firsts) }).toEqual({ template, text });
    }
  }
}

/** Holds that each template is refused with a message that contains the text. */
export function expectRefusals(cases: readonly Case[], variables: Variables = {}): void {
  for (const [template, message] of cases) {
    const refusal = { template, message: refusalOf(template, variables) };
    expect(refusal).toEqual({ template, message: expect.stringContaining(message) });
  }
}

function refusalOf(template: string, variables: Variables): string | undefined {
  try {
    render(template, variables);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'no error';
  }
}
