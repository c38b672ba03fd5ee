// Async generators that free what they hold even when the caller drops them between two pieces without return(): each
// is wrapped, and returned once its wrapper has been garbage-collected. Called by model/model.ts.

/** Returns the inner generators of collected wrappers. An inner generator has no reference to its wrapper. */
const dropped = new FinalizationRegistry<AsyncGenerator<unknown, unknown, void>>((inner) => {
  // No caller is left to report a failure to.
  inner.return(undefined).catch(() => {});
});

/** A wrapper around a generator: the generator is returned once the wrapper has been garbage-collected. */
export function returnedWhenDropped<T, R>(inner: AsyncGenerator<T, R, void>): AsyncGenerator<T, R, void> {
  const wrapper = new GeneratorWrapper(inner);
  dropped.register(wrapper, inner);
  return wrapper;
}

class GeneratorWrapper<T, R> implements AsyncGenerator<T, R, void> {
  readonly #inner: AsyncGenerator<T, R, void>;

  constructor(inner: AsyncGenerator<T, R, void>) {
    this.#inner = inner;
  }

  next(): Promise<IteratorResult<T, R>> {
    return this.#inner.next();
  }

  return(value: R | PromiseLike<R>): Promise<IteratorResult<T, R>> {
    return this.#inner.return(value);
  }

  throw(error: unknown): Promise<IteratorResult<T, R>> {
    return this.#inner.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner.return(undefined as never);
  }
}
