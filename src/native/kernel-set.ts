// Which kernel set an engine uses, and what that says of block sizes. Called by the engine when it is made.
import { describe } from '../base/describe.js';
import { TesseraeError } from '../base/errors.js';
import type { BlockSizeLimits } from '../machine/block-sizes.js';
import { ISA_NAMES, type IsaName } from '../machine/environment.js';
import type { Addon, ProductTraits } from './addon.js';

/** @throws TesseraeError ERR_ARGUMENT; ERR_NATIVE where this CPU cannot run what is wanted */
export function chooseIsa(addon: Addon, wanted: IsaName | undefined): IsaName {
  if (wanted === undefined) return addon.isas.at(-1) as IsaName;
  if (!ISA_NAMES.includes(wanted)) {
    throw new TesseraeError('ERR_ARGUMENT', `isa must be one of ${ISA_NAMES.join(', ')}, got ${describe(wanted)}`);
  }
  if (addon.isas.includes(wanted)) return wanted;
  throw new TesseraeError('ERR_NATIVE', `this CPU cannot run the ${wanted} kernels`);
}

export function blockSizeLimits(addon: Addon, isa: IsaName): BlockSizeLimits {
  const { mr, nr } = addon.products[isa] as ProductTraits;
  return { mr, nr, defaults: addon.defaultBlockSizes, valid: (sizes) => addon.blockSizesValid(sizes) };
}
