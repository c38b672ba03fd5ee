// The error of a measurement beside a peer that is not installed or does not start. Its message is complete.
export class MissingPeerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MissingPeerError';
  }
}
