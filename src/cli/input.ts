// Standard input as text. The commands' only way to it.
import { addAbortSignal } from 'node:stream';
import { text } from 'node:stream/consumers';

/** All of it; rejects with an AbortError when the signal fires while somebody is still typing. */
export function readStandardInput(signal: AbortSignal): Promise<string> {
  return text(addAbortSignal(signal, process.stdin));
}
