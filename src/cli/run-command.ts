// Runs a command: gives it its output and a signal that Ctrl-C, a termination and a closed pipe fire, and turns its
// errors into a line on stderr and an exit code. Called by each file of commands/.
import { AbortError, TesseraeError } from '../base/errors.js';
import { Output } from './output.js';

export interface CommandContext {
  readonly output: Output;
  /** Fires when the user wants the command to end. Commands pass it to everything that they await. */
  readonly signal: AbortSignal;
}

/** 0 success, 1 failure, 2 bad usage, 3 a batch whose lines have errors, 128 plus the signal's number when a signal ended the command. */
export const exitCodes = {
  success: 0,
  failure: 1,
  usage: 2,
  lineErrors: 3,
  interrupted: 130,
  terminated: 143,
} as const;

/** A mistake in how the command was called: exit code 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** The command cannot get what it needs, such as a text file: exit code 1 and one line. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandError';
  }
}

export type ErrorClass = abstract new (...args: never[]) => Error;

export interface RunOptions {
  /** Being asked to end is how the command is meant to end: with success. A second time ends it at once, with failure. */
  readonly endsWell?: boolean;
}

/**
 * Runs a command to its end and sets the process's exit code.
 * @param expected classes of errors that this command reports in one line with exit code 1, besides the library's
 */
export async function runCommand(
  command: (context: CommandContext) => Promise<void>,
  expected: readonly ErrorClass[] = [],
  { endsWell = false }: RunOptions = {},
): Promise<void> {
  const output = new Output();
  const controller = new AbortController();
  let endedBy: number | undefined;
  const end = (code: number) => {
    // The second Ctrl-C does not wait for the tiles that are being computed.
    if (endedBy !== undefined) process.exit(endsWell ? exitCodes.failure : code);
    endedBy = endsWell ? exitCodes.success : code;
    controller.abort();
  };
  const onInterrupt = () => end(exitCodes.interrupted);
  const onTerminate = () => end(exitCodes.terminated);
  const onPipeError = (error: NodeJS.ErrnoException) => {
    if (endedBy !== undefined) return;
    if (error.code !== 'EPIPE') output.log(`tesserae: stdout: ${error.message}`);
    // EPIPE: the reader has read enough, as `head` does.
    end(error.code === 'EPIPE' ? exitCodes.success : exitCodes.failure);
  };
  process.on('SIGINT', onInterrupt).on('SIGTERM', onTerminate);
  process.stdout.on('error', onPipeError);
  process.stderr.on('error', () => {});
  try {
    await command({ output, signal: controller.signal });
  } catch (error) {
    if (endedBy === undefined || !isAbort(error)) process.exitCode = report(error, expected, output);
  } finally {
    output.clearProgress();
    process.off('SIGINT', onInterrupt).off('SIGTERM', onTerminate);
  }
  if (endedBy !== undefined) process.exitCode = endedBy;
}

function isAbort(error: unknown): boolean {
  return error instanceof AbortError || (error instanceof Error && error.name === 'AbortError');
}

/** Prints one line for an error that the user can mend, the stack for any other. Returns the exit code. */
function report(error: unknown, expected: readonly ErrorClass[], output: Output): number {
  if (
    error instanceof UsageError ||
    (error instanceof TesseraeError && ['ERR_ARGUMENT', 'ERR_FORMAT'].includes(error.code))
  ) {
    output.log(`tesserae: ${oneLine(error.message)}`);
    return exitCodes.usage;
  }
  if (error instanceof Error && [TesseraeError, CommandError, ...expected].some((kind) => error instanceof kind)) {
    output.log(`tesserae: ${oneLine(error.message)}`);
    return exitCodes.failure;
  }
  output.log(`tesserae: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return exitCodes.failure;
}

export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
