// The task that Piscina's workers run when its round trip is measured: it does nothing.
export default function nothing(): void {}
