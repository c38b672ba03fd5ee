// Projects that use the installed package in other ways than Node.js alone: TypeScript modules of both kinds, and tests in a
// context of their own, which on Node 20 lacks Symbol.asyncDispose. Jest: scripts/try-package.mjs.
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, test } from 'vitest';
import { installPackage, root } from '../support/packaging/installed-package.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const folder = temporaryFolder();
const app = folder.file('app');
const limitMs = 120_000;

beforeAll(() => {
  installPackage(app);
  for (const name of ['@types/node', 'vitest']) {
    mkdirSync(dirname(join(app, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(app, 'node_modules', name));
  }
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "type": "module" }');
}, limitMs);
afterAll(() => folder.remove());

/** Runs a program of this repository's packages in the application. */
function run(...args: string[]): Promise<unknown> {
  return promisify(execFile)(process.execPath, args, { cwd: app });
}

const typed = `import { Engine, type Model, TesseraeError } from 'tesserae';
import { createJobRunner } from 'tesserae/jobs';
import { bundledModel } from 'tesserae/models';
export async function main(): Promise<number> {
  const engine: Engine = await Engine.create({ threads: 2 });
  const model: Model = await engine.loadModel(bundledModel);
  const c = await engine.matmul(engine.tensor([1, 1]), engine.tensor([1, 1]));
  console.log(createJobRunner, model, c.data[0], new TesseraeError('ERR_NATIVE', 'x').code);
  // @ts-expect-error: a number is no path.
  await engine.loadModel(7);
  return c.size;
}
`;

test(
  'compiles as an ES module and as CommonJS, with all declarations checked',
  async () => {
    for (const file of ['module.mts', 'common.cts']) writeFileSync(join(app, file), typed);
    const options = '--noEmit --strict --target es2022 --lib es2023,esnext.disposable --types node --module node16';
    await run(join(root, 'node_modules/typescript/bin/tsc'), ...options.split(' '), 'module.mts', 'common.cts');
  },
  limitMs,
);

const testFile = `import { expect, test } from 'vitest';
import { Engine, TesseraeError } from 'tesserae';
import { bundledModel } from 'tesserae/models';
test('generates in a context of its own', async () => {
  const engine = await Engine.create({ threads: 2 });
  const model = await engine.loadModel(bundledModel);
  const { text } = await model.generate('In ', { maxTokens: 8, format: { regex: '[0-9]{4}' } }).result;
  expect(text).toMatch(/^[0-9]{4}$/);
  await expect(engine.loadModel('/nowhere')).rejects.toBeInstanceOf(TesseraeError);
  await engine[Symbol.asyncDispose]();
});
`;

test(
  'is tested by vitest in vmThreads',
  async () => {
    writeFileSync(join(app, 'generate.test.js'), testFile);
    await run(join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', app, '--pool', 'vmThreads');
  },
  limitMs,
);
