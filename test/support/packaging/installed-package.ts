// An application's folder with the package in its node_modules, as the checkout has it built: the files that package.json lists,
// without packing them. Used by the tests of bundlers and test runners.
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '../../..');

/** Copies the package into `app`/node_modules. Returns its folder there. */
export function installPackage(app: string): string {
  const installed = join(app, 'node_modules/tesserae');
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] };
  for (const name of ['package.json', ...manifest.files]) {
    if (!existsSync(join(root, name))) continue;
    mkdirSync(dirname(join(installed, name)), { recursive: true });
    cpSync(join(root, name), join(installed, name), { recursive: true });
  }
  return installed;
}
