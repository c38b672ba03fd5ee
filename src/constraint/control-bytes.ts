// Control tokens in grammars of bytes: as their spelling in hexadecimal digits between bytes that no text has. Only a grammar
// that names such bytes allows a control token. Called by token-trie.ts, constraint.ts and compile/tags.ts.

/** No byte of UTF-8. */
export const CONTROL_MARK = 0xff;

/** The bytes for the control token of a spelling. */
export function controlBytes(spelling: string): Uint8Array {
  const digits = Buffer.from(Buffer.from(spelling).toString('hex'));
  return Uint8Array.of(CONTROL_MARK, ...digits, CONTROL_MARK);
}
