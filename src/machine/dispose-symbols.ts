// Symbol.dispose and Symbol.asyncDispose for contexts that lack them: Node 20 defines them in its main context alone, and test
// runners run code in others. Imported first by each entry, since classes use the symbols when they are defined.
import { Readable } from 'node:stream';

/** The symbol that Node.js itself uses, so that its own objects can be disposed, too. */
function symbolOfNode(name: 'dispose' | 'asyncDispose'): symbol {
  const text = `Symbol.${name}`;
  const timer = setTimeout(() => {}, 0);
  clearTimeout(timer);
  for (const object of [Readable.prototype, Object.getPrototypeOf(timer) as object]) {
    const own = Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === text);
    if (own !== undefined) return own;
  }
  return Symbol(text);
}

for (const name of ['dispose', 'asyncDispose'] as const) {
  if (Symbol[name] === undefined) Object.defineProperty(Symbol, name, { value: symbolOfNode(name) });
}
