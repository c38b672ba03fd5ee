// What every command gets, and how each of them is run: the signal that Ctrl-C and a closed pipe fire, and the way from
// an error to a line on stderr and an exit code.

import { MissingPeerError, WrongResultError } from '../../bench/index.js';
import { AbortError, TesseraeError } from '../index.js';
import { Output } from './output.js';

export interface CommandContext {
  readonly output: Output;
  /** Fires when the user wants the command to end. Commands hand it on to all that they await. */
  readonly signal: AbortSignal;
}

/** 0 success, 1 failure, 2 bad usage, 128 and the signal's number where a signal ended it. */
export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** A mistake in how the command was called: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Something that the command needs and cannot have, such as an absent text file: exit code 1 and one line. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandError';
  }
}

/** Runs a command to its end, whatever comes, and sets the process's exit code. */
export async function runCommand(command: (context: CommandContext) => Promise<void>): Promise<void> {
  const output = new Output();
  const controller = new AbortController();
  let endedBy: number | undefined;
  const end = (code: number) => {
    // Whoever asks twice does not want to wait for the tile in hand.
    if (endedBy !== undefined) process.exit(code);
    endedBy = code;
    controller.abort();
  };
  const onInterrupt = () => end(exitCodes.interrupted);
  const onTerminate = () => end(exitCodes.terminated);
  const onPipeError = (error: NodeJS.ErrnoException) => {
    if (endedBy !== undefined) return;
    if (error.code !== 'EPIPE') output.log(`tesserae: stdout: ${error.message}`);
    // The reader has what it wanted, as `head` has.
    end(error.code === 'EPIPE' ? exitCodes.success : exitCodes.failure);
  };
  process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate);
  process.stdout.on('error', onPipeError);
  process.stderr.on('error', () => {});
  try {
    await command({ output, signal: controller.signal });
  } catch (error) {
    if (endedBy === undefined || !isAbort(error)) process.exitCode = report(error, output);
  } finally {
    output.clearProgress();
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate);
  }
  if (endedBy !== undefined) process.exitCode = endedBy;
}

function isAbort(error: unknown): boolean {
  return error instanceof AbortError || (error instanceof Error && error.name === 'AbortError');
}

/** One line for what the user can mend; the stack for what only we can. */
function report(error: unknown, output: Output): number {
  if (
    error instanceof UsageError ||
    (error instanceof TesseraeError && ['ERR_ARGUMENT', 'ERR_FORMAT'].includes(error.code))
  ) {
    output.log(`tesserae: ${oneLine(error.message)}`);
    return exitCodes.usage;
  }
  const known = [TesseraeError, CommandError, WrongResultError, MissingPeerError];
  if (error instanceof Error && known.some((kind) => error instanceof kind)) {
    output.log(`tesserae: ${oneLine(error.message)}`);
    return exitCodes.failure;
  }
  output.log(`tesserae: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return exitCodes.failure;
}

export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
