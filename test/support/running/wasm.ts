// The addon as WebAssembly, for tests. `pnpm build` makes it where its compiler is installed; elsewhere its tests are left out, but
// not in the gate, which installs the compiler.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/base/package-files.js';
import { loadAddon } from '../../../src/native/load.js';

export const wasmFile = join(packageRoot(), 'prebuilds/wasm/tesserae.wasm');

/** Whether the tests themselves run on it: `TESSERAE_ADDON=wasm vitest run …`. */
export const runsOnWasm = loadAddon().wasm !== undefined;

export const nativeFile = join(packageRoot(), 'build/Release/tesserae.node');

export const isWithoutWasm = !existsSync(wasmFile) && process.env.CI === undefined;
