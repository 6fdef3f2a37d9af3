/** Waits for a condition: often enough to be quick, long enough for a machine that is busy. */

import { vi } from 'vitest';

export function eventually<T>(check: () => T | Promise<T>, withinMs = 8000): Promise<T> {
  return vi.waitFor(check, { timeout: withinMs, interval: 10 });
}
