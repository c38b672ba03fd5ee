// The folder where commands keep images of weights: in the user's folder, unless the option names another. Called by the
// commands that load models.
import { mkdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';

/** Smaller files load in a fraction of a second without an image, too. */
const leastBytes = 256 << 20;

export const cacheOption = () =>
  new Option(
    '--cache <folder>',
    'where images of weights are kept, so that a model loads at once the next time (default: ~/.cache/tesserae, for files ' +
      'of 256 MiB and more; none: nowhere)',
  );

/** The option `cache` of loadModel, which WebAssembly does not take. @param home the user's folder */
export async function cacheOf(
  option: string | undefined,
  modelPath: string,
  home = homedir(),
  addon: 'native' | 'wasm' = 'native',
): Promise<{ cache?: string }> {
  if (option === 'none') return {};
  if (option !== undefined) return { cache: option };
  if (addon === 'wasm') return {};
  const folder = join(home, '.cache', 'tesserae');
  try {
    const { size } = await stat(modelPath);
    if (size < leastBytes) return {};
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return { cache: folder };
  } catch {
    // Nobody asked for a cache: a home that cannot be written is no error, and loading reports what is wrong with the model.
    return {};
  }
}
