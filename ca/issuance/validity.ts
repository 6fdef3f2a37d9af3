/** From when to when a leaf is valid: as asked, but never outside its issuer's own validity nor past its entry's end. */

import { formatDurationMs } from '../../core/index.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';

export interface Validity {
  readonly kind: 'valid';
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Whose end cut it short; absent if it is as long as was asked for. */
  readonly cappedBy?: 'issuer' | 'entry';
}

/** Whole seconds (RFC 5280 §4.1.2.5); refused when so little is left that it would end on its way. */
export function leafValidity(p: {
  readonly nowMs: number;
  readonly ttlMs: number;
  readonly backdateMs: number;
  readonly issuer: { readonly notBeforeMs: number; readonly notAfterMs: number };
  /** When the entry stops giving the identity; absent: never. */
  readonly entryEndsAtMs?: number | undefined;
}): Validity | IssuanceRefusal {
  const { nowMs, ttlMs, backdateMs, issuer } = p;
  if (issuer.notBeforeMs > nowMs) {
    // It was made while the clock was ahead; no path through it is valid yet (RFC 5280 §6.1.3).
    const at = new Date(issuer.notBeforeMs).toISOString();
    return refuse('unavailable', 'issuer_not_begun', `the issuing authority begins at ${at}`);
  }
  const notBeforeMs = Math.max(floorSecond(nowMs - backdateMs), issuer.notBeforeMs);
  const askedMs = floorSecond(nowMs + ttlMs);
  // An identity that was given an end is not held past it, however young the certificate is.
  const entryMs = floorSecond(p.entryEndsAtMs ?? Number.MAX_SAFE_INTEGER);
  const capMs = Math.min(issuer.notAfterMs, entryMs);
  const notAfterMs = Math.min(askedMs, capMs);
  const cappedBy = entryMs < issuer.notAfterMs ? 'entry' : 'issuer';
  if (notAfterMs - nowMs >= leftMsMin) {
    return { kind: 'valid', notBeforeMs, notAfterMs, ...(askedMs > capMs ? { cappedBy } : {}) };
  }
  const left = `has only ${formatDurationMs(Math.max(0, notAfterMs - nowMs))} left`;
  return cappedBy === 'entry'
    ? refuse('failed_precondition', 'entry_ending', `the registration entry ${left}`)
    : refuse('unavailable', 'issuer_ending', `the issuing authority ${left}`);
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

// A certificate that ends within this is of no use to whoever asked for it.
const leftMsMin = 500;
