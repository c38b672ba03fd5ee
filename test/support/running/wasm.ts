// The addon as WebAssembly, for tests. `pnpm build` makes it where its compiler is installed; elsewhere its tests are left out, but
// not in the gate, which installs the compiler.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/base/package-files.js';

export const wasmFile = join(packageRoot(), 'prebuilds/wasm/tesserae.wasm');

export const isWithoutWasm = !existsSync(wasmFile) && process.env.CI === undefined;
