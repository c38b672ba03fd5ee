// `pnpm bench:compare REF [-- arguments of tesserae bench]`: measures the working tree and another commit in turns, in
// fresh processes, the order reversed each round. Makes the worktree, builds both and runs them; the ratios are
// computed by bench/compare/compare-rounds.ts. Exits 0 when all rows were compared, 1 when not, 2 on bad usage.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const usage = `usage: pnpm bench:compare REF [--rounds N] [--json] [-- arguments of tesserae bench]

  --rounds N   how often each side runs (default: 5)
  --json       one JSON document on stdout
  Everything after -- goes to tesserae bench, by default: matmul --shape square_256 square_512 square_1024 ffn_up gemv
`;
const defaultArguments = ['matmul', '--shape', 'square_256', 'square_512', 'square_1024', 'ffn_up', 'gemv'];
const root = join(dirname(fileURLToPath(import.meta.url)), '..');

let worktree;
let child;

const options = parse(process.argv.slice(2));
const commit = git('rev-parse', '--verify', '--quiet', `${options.ref}^{commit}`);
if (commit === '') fail(`there is no commit ${options.ref}`, 2);
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    child?.kill('SIGTERM');
    cleanUp();
    process.exit(code);
  });
}
try {
  process.exitCode = await main();
} finally {
  cleanUp();
}

async function main() {
  say('building the working tree');
  if ((await run(process.execPath, ['scripts/build.mjs'], root)).code !== 0) return 1;
  const { compareRounds, formatComparison, turnsOf } = await import(
    pathToFileURL(join(root, 'dist/bench/compare/compare-rounds.js')).href
  );
  worktree = mkdtempSync(join(tmpdir(), 'tesserae-compare-'));
  const sides = { tree: root, other: join(worktree, 'tree') };
  say(`building ${options.ref} (${commit.slice(0, 9)})`);
  git('worktree', 'add', '--detach', '--force', sides.other, commit);
  for (const args of [
    ['install', '--prefer-offline', '--frozen-lockfile'],
    ['run', 'build'],
  ]) {
    const [command, ...first] = pnpm();
    const { code, stderr } = await run(command, [...first, ...args], sides.other);
    if (code === 0) continue;
    say(`pnpm ${args.join(' ')} of ${options.ref} failed${stderr ? `: ${stderr}` : ''}`);
    return 1;
  }
  const rounds = [];
  for (const [index, turns] of turnsOf(options.rounds).entries()) {
    const round = {};
    for (const side of turns) {
      say(`round ${index + 1} of ${options.rounds}, ${side === 'tree' ? 'the working tree' : options.ref}`);
      round[side] = await bench(sides[side]);
    }
    rounds.push(round);
  }
  const comparison = compareRounds(rounds);
  const document = { other: commit, arguments: options.bench, ...comparison };
  process.stdout.write(options.json ? `${JSON.stringify(document)}\n` : formatComparison(comparison));
  return comparison.rows.length > 0 && comparison.refused.length === 0 && comparison.problems.length === 0 ? 0 : 1;
}

/** One fresh process. A wrong result gives an error on stderr and no document. */
async function bench(folder) {
  const args = ['dist/src/cli/main.js', 'bench', ...options.bench, '--json'];
  const { code, stdout, stderr } = await run(process.execPath, args, folder, true);
  if (code !== 0) return { problem: stderr.trim().split('\n').at(-1) || `exit code ${code}` };
  try {
    return { document: JSON.parse(stdout) };
  } catch {
    return { problem: 'it printed no JSON document' };
  }
}

function run(command, args, cwd, captured = false) {
  return new Promise((resolve) => {
    const stdio = captured ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'ignore', 'inherit'];
    child = spawn(command, args, { cwd, stdio });
    const texts = { stdout: '', stderr: '' };
    for (const name of captured ? ['stdout', 'stderr'] : []) {
      child[name].setEncoding('utf8').on('data', (text) => {
        texts[name] += text;
      });
    }
    child.on('error', (error) => resolve({ code: 1, stdout: '', stderr: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, ...texts }));
  });
}

/** The command and first arguments of the pnpm that runs this script, or of the one on the path. */
function pnpm() {
  const path = process.env.npm_execpath;
  if (path === undefined || !/pnpm/.test(path)) return ['pnpm'];
  return /\.[cm]?js$/.test(path) ? [process.execPath, path] : [path];
}

function git(...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0 && stderr.trim() !== '') fail(stderr.trim().split('\n').at(-1), 1);
  return stdout.trim();
}

function cleanUp() {
  if (worktree === undefined) return;
  rmSync(worktree, { recursive: true, force: true });
  worktree = undefined;
  spawnSync('git', ['worktree', 'prune'], { cwd: root });
}

function parse(args) {
  const end = args.indexOf('--', 1);
  const own = end === -1 ? args : args.slice(0, end);
  const parsed = { ref: undefined, rounds: 5, json: false, bench: end === -1 ? defaultArguments : args.slice(end + 1) };
  for (let i = own[0] === '--' ? 1 : 0; i < own.length; i++) {
    const argument = own[i];
    if (argument === '--help') {
      process.stdout.write(usage);
      process.exit(0);
    } else if (argument === '--json') parsed.json = true;
    else if (argument === '--rounds') parsed.rounds = Number(own[++i]);
    else if (argument.startsWith('-')) fail(`unknown option ${argument}\n${usage}`, 2);
    else if (parsed.ref === undefined) parsed.ref = argument;
    else fail(`unexpected argument ${argument}; arguments of the benchmark come after --\n${usage}`, 2);
  }
  if (parsed.ref === undefined) fail(`name the commit to compare with\n${usage}`, 2);
  if (!Number.isSafeInteger(parsed.rounds) || parsed.rounds < 1) fail('--rounds must be a positive whole number', 2);
  return parsed;
}

function say(text) {
  process.stderr.write(`tesserae: ${text}\n`);
}

function fail(text, code) {
  say(text);
  cleanUp();
  process.exit(code);
}
