// The names of the suites, in the order of the help text.

export const suiteNames = [
  'matmul',
  'attention',
  'scaling',
  'many-cores',
  'allocations',
  'latency',
  'model',
  'serving',
  'http',
] as const;
export type SuiteName = (typeof suiteNames)[number];
