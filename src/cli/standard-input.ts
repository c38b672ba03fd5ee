// Standard input as text. Every command that reads it does so through this file.
import { addAbortSignal } from 'node:stream';
import { text } from 'node:stream/consumers';

/** Reads to the end. Rejects with an AbortError when the signal fires first, for example while the user is typing. */
export function readStandardInput(signal: AbortSignal): Promise<string> {
  return text(addAbortSignal(signal, process.stdin));
}
