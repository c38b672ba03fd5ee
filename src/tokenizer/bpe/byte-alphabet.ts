// The byte alphabet of GPT-2: a vocabulary writes each byte as one printable character, so that every token is readable
// text. Printable Latin-1 bytes are written as themselves, the others as the code points from U+0100 on, in order.

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/** The character of each byte. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

/** The byte of each character of the alphabet, by code point; -1 for others. All of the alphabet is below U+0144. */
const bytesByUnit = new Int16Array(0x144).fill(-1);
byteCharacters.forEach((character, byte) => {
  bytesByUnit[character.charCodeAt(0)] = byte;
});

/**
 * Decodes a token's spelling, given as UTF-8 in source[start, end), to bytes. A character outside of the alphabet
 * becomes its own UTF-8.
 * @returns the end in `target`; there are never more bytes than in the spelling
 */
export function spellBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let out = at;
  for (let i = start; i < end; i++) {
    const first = source[i] as number;
    // The alphabet's characters of one byte in UTF-8 are that byte; others have two bytes. Those of longer ones are copied.
    const isPair = first >= 0xc2 && first < 0xe0;
    const byte = isPair ? (bytesByUnit[((first & 0x1f) << 6) | ((source[i + 1] as number) & 0x3f)] ?? -1) : -1;
    if (byte >= 0) {
      target[out++] = byte;
      i += 1;
    } else {
      target[out++] = first;
    }
  }
  return out;
}
