// Runs the built command as a child process, as a user does. Used by the tests of the command.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the first text on stdout; may end the child or its stdout. */
  readonly onFirstOutput?: (child: ReturnType<typeof spawn>) => void;
}

/** Resolves when the child and all processes that it started have ended. Kills them after half a minute. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  // A process group of its own, so that processes that it leaves behind can be found.
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const group = -(child.pid as number);
  const timer = setTimeout(() => process.kill(group, 'SIGKILL'), 28_000);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (stdout === '') options.onFirstOutput?.(child);
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // A child that does not read its input may have ended before it is written.
  child.stdin.on('error', () => {});
  child.stdin.end(options.stdin ?? '');
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', reject).on('close', (...ending) => resolve(ending));
    });
    if (isAlive(group)) throw new Error(`${args.join(' ')} left a process behind`);
    return { code, signal, stdout, stderr };
  } finally {
    clearTimeout(timer);
    if (isAlive(group)) process.kill(group, 'SIGKILL');
  }
}

function isAlive(group: number): boolean {
  try {
    process.kill(group, 0);
    return true;
  } catch {
    return false;
  }
}

/** Runs with `--json` and parses the one document. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into documents of many kinds.
export async function runJson(args: readonly string[], options: CliOptions = {}): Promise<any> {
  const { code, stdout, stderr } = await runCli([...args, '--json'], options);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
}
