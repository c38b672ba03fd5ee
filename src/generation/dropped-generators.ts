// Generators that give back what they hold even when their user forgets them: a generator that is dropped between two
// pieces, without return(), is returned once it has been garbage-collected. Called by the model.

/** Returns what was left behind. Holds the inner generators, which know nothing of their wrappers. */
const abandoned = new FinalizationRegistry<AsyncGenerator<unknown, unknown, void>>((inner) => {
  // Nobody is left to be told of a failure.
  inner.return(undefined).catch(() => {});
});

/** The same generator in a wrapper: when that is collected, the generator ends. */
export function returnedWhenDropped<T, R>(inner: AsyncGenerator<T, R, void>): AsyncGenerator<T, R, void> {
  const wrapper = new Returning(inner);
  abandoned.register(wrapper, inner);
  return wrapper;
}

class Returning<T, R> implements AsyncGenerator<T, R, void> {
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
