// Untyped JSON documents, read member by member: what is not of the expected form is empty. Used for documents of other
// builds and of the peers.

/** The members of an object; none of anything else. */
export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The elements of an array as records; none of anything else. */
export function asRecords(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(asRecord) : [];
}
