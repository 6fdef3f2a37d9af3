/** Who watches the issuance cycle: how long each step took, and how the request ended. */

import type { Clock } from '../../core/index.ts';
import type { IssuanceRefusalCode } from './issuance-refusal.ts';

/** The steps that cost something, named for what they do; the numbers in `issue.ts` are beside them. */
export type IssuanceStep =
  | 'authorize'
  | 'parse'
  | 'policy'
  | 'serial'
  | 'lint'
  | 'sign'
  | 'record'
  | 'mark';

export interface IssuanceObserver {
  /** Asked once a request: whether its steps are told. Counting eight of them costs a twelfth of the cycle. */
  watchesSteps(): boolean;
  step(step: IssuanceStep, elapsedMs: number): void;
  /** `failed`: no fault of the request. */
  ended(outcome: 'issued' | 'failed' | IssuanceRefusalCode, elapsedMs: number): void;
}

/** Tells the observer the time since the step before; with nobody watching it costs nothing. */
export function stepTimer(observer: IssuanceObserver, clock: Clock): (step: IssuanceStep) => void {
  if (!observer.watchesSteps()) return () => {};
  let lastMs = clock.monotonicMs();
  return (step) => {
    const nowMs = clock.monotonicMs();
    observer.step(step, nowMs - lastMs);
    lastMs = nowMs;
  };
}
