// Finds and loads the native addon: the only file that loads a .node. Called by the main thread and by every worker;
// Node keeps one instance of the addon per thread.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { TesseraeError } from '../base/errors.js';
import { packageRoot } from '../base/package-files.js';
import type { Addon } from './addon.js';

/**
 * Loads the addon for this platform: the build of a checkout if there is one, else the binary in the package. A binary
 * that exists but does not load is an error; the next one is not tried.
 * @throws TesseraeError ERR_NATIVE if there is no binary, or if it does not load on this machine
 */
export function loadAddon(root: string = packageRoot()): Addon {
  const platform = `${process.platform}-${process.arch}`;
  const candidates = [join(root, 'build/Release/tesserae.node'), join(root, 'prebuilds', platform, 'tesserae.node')];
  const file = candidates.find((candidate) => existsSync(candidate));
  if (file === undefined) {
    throw new TesseraeError(
      'ERR_NATIVE',
      `tesserae has no native addon for ${platform} with Node ${process.version}: looked for ${candidates.join(' and ')}`,
    );
  }
  try {
    return createRequire(import.meta.url)(file) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw new TesseraeError(
      'ERR_NATIVE',
      `the native addon ${file} does not load on ${platform} with Node ${process.version}: ${reason}`,
      { cause },
    );
  }
}
