// Quotes text from a file for error messages. The text is untrusted: it may be long and contain any character.

const LONGEST = 60;

/** The text as a JSON string on one line, cut to a short length. */
export function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
}
