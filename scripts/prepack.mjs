// Builds, and copies the native addon to prebuilds/<platform>-<arch>/tesserae.node, where the published package has it.
// npm and pnpm run this before they pack, so that installing the package runs no script and needs no compiler.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const prebuild = join(root, 'prebuilds', `${process.platform}-${process.arch}`);

const build = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' });
if (build.status !== 0) process.exit(build.status ?? 1);

mkdirSync(prebuild, { recursive: true });
copyFileSync(join(root, 'build/Release/tesserae.node'), join(prebuild, 'tesserae.node'));
