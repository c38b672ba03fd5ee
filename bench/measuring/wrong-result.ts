// The error that a benchmark throws instead of giving a figure when the measured result is wrong.

export class WrongResultError extends Error {
  constructor(what: string) {
    super(`${what}: the result is wrong, so no figure is given`);
    this.name = 'WrongResultError';
  }
}
