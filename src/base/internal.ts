// The key to constructors that callers of the package reach but must not call: native code trusts what they make. The
// package does not export it.
import { TesseraeError } from './errors.js';

export const internal: unique symbol = Symbol('tesserae.internal');
export type Internal = typeof internal;

/** @throws TesseraeError ERR_ARGUMENT unless the key is {@link internal} */
export function checkInternal(key: unknown, className: string, maker: string): void {
  if (key === internal) return;
  throw new TesseraeError('ERR_ARGUMENT', `a ${className} cannot be constructed; ${maker} makes it`);
}

/**
 * Closes a class whose instances native code trusts: nobody can replace its getters and methods afterwards.
 */
export function seal(type: { readonly prototype: object }): void {
  Object.freeze(type.prototype);
  Object.freeze(type);
}
