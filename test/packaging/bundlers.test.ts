// Applications that are bundled by esbuild, rollup and webpack without plugins of ours: they find the addon, the worker threads
// and the model in a node_modules folder above the bundle, and elsewhere by the options of Engine.create.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpack from 'webpack';
import { installPackage } from '../support/packaging/installed-package.js';
import { temporaryFolder } from '../support/temporary-folder.js';

const folder = temporaryFolder();
const app = folder.file('app');
const entry = join(app, 'src/main.mjs');
let installed: string;

// A format is compiled by the thread for untrusted text.
const program = `
import { Engine } from 'tesserae';
import { bundledModel } from 'tesserae/models';
async function main() {
  const engine = await Engine.create({ threads: 2, addonPath: process.env.APP_ADDON, workerPath: process.env.APP_WORKER });
  const model = await engine.loadModel(bundledModel);
  const { text } = await model.generate('In ', { maxTokens: 8, temperature: 0, format: { regex: '[0-9]{4}' } }).result;
  console.log(JSON.stringify({ text }));
  await engine.close();
}
void main();
`;

beforeAll(() => {
  installed = installPackage(app);
  mkdirSync(dirname(entry));
  writeFileSync(entry, program);
  writeFileSync(join(app, 'package.json'), '{ "name": "app" }');
});
afterAll(() => folder.remove());

async function withEsbuild(outfile: string, format: 'esm' | 'cjs'): Promise<void> {
  const { errors } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format,
    outfile,
    logLevel: 'silent',
  });
  expect(errors).toEqual([]);
}

async function withRollup(file: string, format: 'es' | 'cjs'): Promise<void> {
  const isExternal = /^(node:|@opentelemetry\/)/;
  // TypeScript's helpers for `using` begin with `this &&`.
  const onLog = (_level: string, { code, message }: { code?: string | undefined; message: string }) => {
    if (code !== 'THIS_IS_UNDEFINED') throw new Error(message);
  };
  const bundle = await rollup({ input: entry, plugins: [nodeResolve()], external: isExternal, onLog });
  await bundle.write({ file, format, inlineDynamicImports: true });
  await bundle.close();
}

async function withWebpack(file: string): Promise<void> {
  const stats = await new Promise<webpack.Stats | undefined>((done, fail) => {
    const output = { path: dirname(file), filename: 'webpack.cjs' };
    const optimization = { minimize: false };
    webpack({ mode: 'production', target: 'node', entry, output, context: app, optimization }, (error, result) => {
      if (error) fail(error);
      else done(result);
    });
  });
  expect(stats?.toJson({ all: false, errors: true }).errors).toEqual([]);
}

const bundles: [string, (file: string) => Promise<void>][] = [
  ['esbuild.mjs', (file) => withEsbuild(file, 'esm')],
  ['esbuild.cjs', (file) => withEsbuild(file, 'cjs')],
  ['rollup.mjs', (file) => withRollup(file, 'es')],
  ['rollup.cjs', (file) => withRollup(file, 'cjs')],
  ['webpack.cjs', withWebpack],
];

test.each(bundles)(
  '%s finds its files in the node_modules folder above',
  async (name, bundle) => {
    const file = join(app, 'dist/server', name);
    await bundle(file);
    expect(await run(file)).toEqual({ text: expect.stringMatching(/^[0-9]{4}$/) });
  },
  120_000,
);

test('elsewhere, each bundle says which options it needs, and runs with them', async () => {
  const elsewhere = folder.file('elsewhere');
  mkdirSync(elsewhere);
  const place = (from: string) => {
    const to = join(elsewhere, basename(from));
    copyFileSync(from, to);
    return to;
  };
  const files = bundles.map(([name]) => place(join(app, 'dist/server', name)));
  const addon = join(installed, `prebuilds/${process.platform}-${process.arch}/tesserae.node`);
  const variables = { APP_ADDON: place(addon), APP_WORKER: place(join(installed, 'dist/worker.cjs')) };
  place(join(installed, 'models/tesserae-tiny-f16.gguf'));
  const expected = await run(entry);
  // Nothing is left where the bundles were built, as on another machine.
  rmSync(app, { recursive: true });
  for (const file of files) {
    await expect(run(file)).rejects.toThrow(
      /the package tesserae is not found .* addonPath and workerPath of Engine\.create/,
    );
    expect(await run(file, variables)).toEqual(expected);
  }
}, 120_000);

/** What a program prints, started in a folder without packages. */
async function run(file: string, variables: Record<string, string> = {}): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: '/', env: variables });
  return JSON.parse(stdout);
}
