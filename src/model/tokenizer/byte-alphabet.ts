// The byte alphabet of GPT-2: each byte stands in a vocabulary as one printable character, so that every token is
// readable text. Printable Latin-1 stands for itself; the other bytes get the code points from U+0100 on, in order.

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/** The character of each byte. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

/** The byte of each character of the alphabet, by code unit; -1 elsewhere. All of them are below U+0144. */
const bytesByUnit = new Int16Array(0x144).fill(-1);
byteCharacters.forEach((character, byte) => {
  bytesByUnit[character.charCodeAt(0)] = byte;
});

const utf8 = new TextEncoder();

/** The bytes that a token's text stands for. A character outside of the alphabet stands for its own UTF-8. */
export function bytesOfTokenText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = bytesByUnit[text.charCodeAt(i)] ?? -1;
    if (byte < 0) return bytesOfMixedText(text);
    bytes[i] = byte;
  }
  return bytes;
}

function bytesOfMixedText(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = bytesByUnit[character.codePointAt(0) as number] ?? -1;
    if (byte >= 0) bytes.push(byte);
    else bytes.push(...utf8.encode(character));
  }
  return Uint8Array.from(bytes);
}
