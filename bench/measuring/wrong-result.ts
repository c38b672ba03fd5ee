// Thrown instead of a figure when a benchmark's result is wrong: a fast wrong answer is not a measurement.

export class WrongResultError extends Error {
  constructor(what: string) {
    super(`${what}: the result is wrong, so no figure is given`);
    this.name = 'WrongResultError';
  }
}
