// Which texts a term of a constraint takes, without an engine: one derivative after the other. Used by the tests of the
// compilers of formats.
import { compileJsonSchema } from '../../src/constraint/compile/json-schema.js';
import { type Term, Terms } from '../../src/constraint/term.js';

/** A term, and the terms that it was made among. */
export interface Compiled {
  readonly terms: Terms;
  readonly term: Term;
}

/** A schema, which is compiled from its JSON. */
export function schemaOf(jsonSchema: unknown): Compiled {
  const terms = new Terms();
  return { terms, term: compileJsonSchema(JSON.parse(JSON.stringify(jsonSchema)), terms) };
}

export function takes({ terms, term }: Compiled, text: string | Iterable<number>): boolean {
  let at = term;
  for (const byte of typeof text === 'string' ? Buffer.from(text) : text) at = terms.derive(at, byte);
  return at.nullable;
}

/** Of some texts, those that are taken. */
export function takenOf(compiled: Compiled, texts: readonly string[]): string[] {
  return texts.filter((text) => takes(compiled, text));
}

/** All texts that are taken, sorted. There must be few. */
export function allTexts({ terms, term }: Compiled, most = 1000): string[] {
  const found: string[] = [];
  const visit = (at: Term, bytes: readonly number[]) => {
    if (bytes.length > 200 || found.length > most) throw new Error(`there are too many texts, such as ${found[0]}`);
    if (at.nullable) found.push(Buffer.from(bytes).toString());
    for (let byte = 0; byte < 256; byte++) {
      const next = terms.derive(at, byte);
      if (next.kind !== 'empty') visit(next, [...bytes, byte]);
    }
  };
  visit(term, []);
  return found.sort();
}
