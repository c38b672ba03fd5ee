// Reads the small text files in which Linux describes the machine. Used by caches.ts and parallelism.ts.
import { readFileSync } from 'node:fs';

/** The file's text without white space around it; empty if there is no such file or it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
