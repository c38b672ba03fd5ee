// The task that Piscina's workers run when its round trip is measured: none.
export default function nothing(): void {}
