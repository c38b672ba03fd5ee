// How long the window of the penalties takes for a long prompt.
import { expect, test } from 'vitest';
import { TokenWindow } from '../../src/sampling/token-window.js';

test('a long prompt in a long window takes no time that grows with its square', () => {
  const window = new TokenWindow(200_000);
  const started = performance.now();
  window.acceptAll(Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 100_003));
  expect(performance.now() - started).toBeLessThan(500);
  expect(window.size).toBe(100_003);
});
