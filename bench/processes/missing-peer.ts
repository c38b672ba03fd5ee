// What stands in the way of a measurement beside a peer: it is not installed, or does not start. The message says it whole.
export class MissingPeerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MissingPeerError';
  }
}
