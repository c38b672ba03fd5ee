// Names out of a file as messages print them: quoted, on one line, and short, whatever the file holds.

const LONGEST = 60;

export function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
}
