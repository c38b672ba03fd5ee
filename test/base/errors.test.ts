// The errors of the library: what they carry, and their copies for the items of a call.
import { describe, expect, test } from 'vitest';
import { AbortError, formatShape, indexed, TesseraeError } from '../../src/base/errors.js';
import { checkInternal, internal, seal } from '../../src/base/internal.js';

describe('an error', () => {
  test('has a code, and says where it arose', () => {
    const cause = new Error('cause');
    const error = new TesseraeError('ERR_BUDGET', 'too much', { op: 'rent', cause, neverFits: true });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'TesseraeError',
      code: 'ERR_BUDGET',
      op: 'rent',
      message: 'rent: too much',
      cause,
      neverFits: true,
    });
  });

  test('has nothing that it was not given', () => {
    for (const details of [undefined, {}, { neverFits: false }]) {
      const error = new TesseraeError('ERR_SHAPE', 'wrong', details);
      expect([error.message, error.op, error.index, error.neverFits]).toEqual([
        'wrong',
        undefined,
        undefined,
        undefined,
      ]);
      expect(error).not.toHaveProperty('cause');
    }
  });

  test('of an aborted operation has the reason as its cause', () => {
    const reason = { because: 'enough' };
    const error = new AbortError(reason);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted' });
    expect(error.cause).toBe(reason);
  });
});

describe('the error of an item', () => {
  test('is a copy with its place', () => {
    const cause = new Error('cause');
    const shared = new TesseraeError('ERR_BUDGET', 'too much', { op: 'rent', cause, neverFits: true });
    const [first, second] = [indexed(shared, 0), indexed(shared, 1)] as [TesseraeError, TesseraeError];
    for (const [index, error] of [first, second].entries()) {
      expect(error).toBeInstanceOf(TesseraeError);
      expect(error).toMatchObject({
        code: 'ERR_BUDGET',
        message: 'rent: too much',
        op: 'rent',
        cause,
        neverFits: true,
        index,
      });
      expect(error.stack).toBe(shared.stack);
    }
    expect(shared.index).toBeUndefined();
    // A caller may write another one, as with any error.
    Error.captureStackTrace(first);
    expect(first.stack).not.toBe(shared.stack);
    expect((indexed(new TesseraeError('ERR_SHAPE', 'wrong'), 3) as TesseraeError).neverFits).toBeUndefined();
  });

  test('keeps the place that it has, and is not made of an error that is none of ours', () => {
    const inner = indexed(new TesseraeError('ERR_SHAPE', 'wrong'), 4);
    expect(indexed(inner, 7)).toBe(inner);
    const other = new Error('other');
    expect(indexed(other, 0)).toBe(other);
  });
});

test('a shape is printed as callers write it', () => {
  expect([[], [2], [2, 0, 3]].map(formatShape)).toEqual(['[]', '[2]', '[2, 0, 3]']);
});

test('a class with a key is constructed by the library alone, and cannot be changed once it is sealed', () => {
  checkInternal(internal, 'Tensor', 'engine.tensor');
  const error = { code: 'ERR_ARGUMENT', message: 'a Tensor cannot be constructed; engine.tensor makes it' };
  for (const key of [undefined, Symbol('tesserae.internal'), {}]) {
    expect(() => checkInternal(key, 'Tensor', 'engine.tensor')).toThrow(expect.objectContaining(error));
  }
  class Sealed {
    get size(): number {
      return 1;
    }
  }
  seal(Sealed);
  expect([Object.isFrozen(Sealed), Object.isFrozen(Sealed.prototype)]).toEqual([true, true]);
});
