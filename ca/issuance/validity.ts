/** From when to when a leaf is valid: as asked, but never outside its issuer's own validity. */

import { formatDurationMs } from '../../core/index.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';

export interface Validity {
  readonly kind: 'valid';
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Whole seconds (RFC 5280 §4.1.2.5); refused when so little is left that it would end on its way. */
export function leafValidity(p: {
  readonly nowMs: number;
  readonly ttlMs: number;
  readonly backdateMs: number;
  readonly issuer: { readonly notBeforeMs: number; readonly notAfterMs: number };
}): Validity | IssuanceRefusal {
  const { nowMs, ttlMs, backdateMs, issuer } = p;
  const notBeforeMs = Math.max(floorSecond(nowMs - backdateMs), issuer.notBeforeMs);
  const notAfterMs = Math.min(floorSecond(nowMs + ttlMs), issuer.notAfterMs);
  if (notAfterMs - nowMs >= leftMsMin) return { kind: 'valid', notBeforeMs, notAfterMs };
  return refuse(
    'unavailable',
    'issuer_ending',
    `the issuing authority has only ${formatDurationMs(Math.max(0, notAfterMs - nowMs))} left`,
  );
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

// A certificate that ends within this is of no use to whoever asked for it.
const leftMsMin = 500;
