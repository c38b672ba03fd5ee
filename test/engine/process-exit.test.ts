// How a process that uses the library ends: at once by process.exit(), by itself when nothing is left to do, and with the
// right exit code. In child processes, on the built package.
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';

const library = new URL('../../dist/src/index.js', import.meta.url).href;

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Runs a module with an `engine` and `a`, a matrix [1024, 1024]. The signal ends a hang. */
function run(body: string, signal: AbortSignal): Promise<Ending> {
  const source = `
    import { Engine } from ${JSON.stringify(library)};
    const engine = await Engine.create({ threads: 2 });
    const a = engine.tensor([1024, 1024]);
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => resolve({ code, signal: killedBy, output }));
  });
}

const endings: readonly (readonly [what: string, body: string, code: number, output: RegExp])[] = [
  ['after its last awaited call, without a close', "await engine.matmul(a, a); console.log('done');", 0, /^done\n$/],
  ['without any call', "console.log('done');", 0, /^done\n$/],
  ['after a close', "await engine.matmul(a, a); await engine.close(); console.log('done');", 0, /^done\n$/],
  [
    'after disposals',
    'const again = await Engine.create({ threads: 1 }); await again[Symbol.asyncDispose](); await engine[Symbol.asyncDispose]();',
    0,
    /^$/,
  ],
  [
    'by process.exit() in the middle of a run',
    'void engine.matmul(a, a); setImmediate(() => process.exit(7));',
    7,
    /^$/,
  ],
  ['by process.exit() before a run has begun', 'void engine.matmul(a, a); process.exit(8);', 8, /^$/],
  [
    'by process.exit() in the middle of many runs of long programs',
    `const program = engine.program((p) => { let x = a; for (let i = 0; i < 50; i++) x = p.matmul(x, a); return x; });
     void program.run();
     for (let i = 0; i < 100; i++) void engine.matmul(a, a);
     setTimeout(() => process.exit(9), 50);`,
    9,
    /^$/,
  ],
  [
    'by process.exit() while it closes',
    'void engine.matmul(a, a).catch(() => {}); void engine.close(); process.exit(6);',
    6,
    /^$/,
  ],
  ['by an uncaught error', "void engine.matmul(a, a); setImmediate(() => { throw new Error('oh no'); });", 1, /oh no/],
  [
    'by the rejection of a call that nobody awaits',
    'void engine.matmul(a, engine.tensor([3, 3]));',
    1,
    /inner dimensions differ/,
  ],
];

test.each(endings)('a process ends %s', async (_what, body, code, output) => {
  const ending = await run(body, AbortSignal.timeout(20_000));
  expect(ending).toMatchObject({ code, signal: null });
  expect(ending.output).toMatch(output);
});

test.each([
  ['computes', 'for (;;) await engine.matmul(a, a);'],
  ['is idle', 'await new Promise(() => setInterval(() => {}, 1000));'],
])('a thread with an engine that %s can be terminated', async (_what, work) => {
  const thread = `
    import { parentPort } from 'node:worker_threads';
    import { Engine } from ${JSON.stringify(library)};
    const engine = await Engine.create({ threads: 2 });
    const a = engine.tensor([256, 256]);
    await engine.matmul(a, a);
    parentPort.postMessage('ready');
    ${work}`;
  const url = `data:text/javascript,${encodeURIComponent(thread)}`;
  const ending = await run(
    `const { Worker } = await import('node:worker_threads');
     const thread = new Worker(new URL(${JSON.stringify(url)}));
     await new Promise((resolve) => thread.once('message', resolve));
     await new Promise((resolve) => setTimeout(resolve, 50));
     console.log(await thread.terminate());`,
    AbortSignal.timeout(20_000),
  );
  expect(ending).toEqual({ code: 0, signal: null, output: '1\n' });
});

test('a process that awaits a run does not end before it', async () => {
  const ending = await run(
    'const c = await engine.matmul(a, a); console.log(c.shape.join());',
    AbortSignal.timeout(20_000),
  );
  expect(ending).toEqual({ code: 0, signal: null, output: '1024,1024\n' });
});
