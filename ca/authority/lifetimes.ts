/** How long each kind of certificate lives, and the arithmetic that says whether they fit together. */

import { formatDurationMs } from '../../core/index.ts';
import { AuthorityError } from './authority-error.ts';

/** All in milliseconds, whole seconds. */
export interface Lifetimes {
  readonly rootMs: number;
  readonly issuingMs: number;
  readonly x509SvidMs: number;
  readonly nodeSvidMs: number;
  /** How far back a certificate's beginning is set, for peers whose clocks are behind. */
  readonly backdateMs: number;
}

export const defaultLifetimes: Lifetimes = {
  rootMs: 365 * 86_400_000,
  issuingMs: 86_400_000,
  x509SvidMs: 3_600_000,
  nodeSvidMs: 3_600_000,
  backdateMs: 30_000,
};

/**
 * The longest an SVID can be promised uncut. An authority is replaced at half its life, so in the
 * worst moment it has the other half left, and no certificate outlives its issuer.
 */
export function svidMsMax(lifetimes: Lifetimes): number {
  return lifetimes.issuingMs / 2;
}

/** How long tokens live, under JWT keys that live as long as an issuing authority and are replaced as early. */
export interface TokenLifetimes {
  readonly ttlMs: number;
  readonly ttlMsMax: number;
}

/** Throws {@link AuthorityError} `lifetimes_contradict` with the arithmetic of every contradiction. */
export function checkLifetimes(lifetimes: Lifetimes, jwt?: TokenLifetimes): void {
  const faults = [
    ...Object.entries(lifetimes).flatMap(([name, ms]) => unitFault(name, ms)),
    ...fitFault('x509Svid', lifetimes.x509SvidMs, 'issuing', lifetimes.issuingMs),
    ...fitFault('nodeSvid', lifetimes.nodeSvidMs, 'issuing', lifetimes.issuingMs),
    ...fitFault('issuing', lifetimes.issuingMs, 'root', lifetimes.rootMs),
    ...(jwt === undefined ? [] : tokenFaults(jwt, lifetimes.issuingMs)),
    ...maxFault('root', lifetimes.rootMs, rootMsMax),
    ...maxFault('backdate', lifetimes.backdateMs, backdateMsMax),
  ];
  if (faults.length === 0) return;
  throw new AuthorityError('lifetimes_contradict', `lifetimes: ${faults.join('; ')}`, {
    remedy: 'shorten the certificate or token, or lengthen its issuer',
  });
}

function tokenFaults({ ttlMs, ttlMsMax }: TokenLifetimes, keyMs: number): string[] {
  const key = 'a JWT key, which lives as long as issuing,';
  return [
    ...fitFault('jwt.ttlMax', ttlMsMax, key, keyMs),
    ...(ttlMs > ttlMsMax ? fitFault('jwt.ttl', ttlMs, key, keyMs) : []),
  ];
}

function fitFault(name: string, ms: number, issuer: string, issuerMs: number): string[] {
  if (ms <= issuerMs / 2) return [];
  const text = formatDurationMs;
  return [
    `${name} ${text(ms)} does not fit under ${issuer} ${text(issuerMs)}, which has ` +
      `${text(issuerMs)} / 2 = ${text(issuerMs / 2)} left when it is replaced at half life`,
  ];
}

function maxFault(name: string, ms: number, msMax: number): string[] {
  if (ms <= msMax) return [];
  return [`${name} ${formatDurationMs(ms)} is above the maximum of ${formatDurationMs(msMax)}`];
}

// RFC 5280 §4.1.2.5: the dates of a certificate have whole seconds.
function unitFault(field: string, ms: number): string[] {
  const name = field.replace(/Ms$/, '');
  if (ms % 1000 !== 0) return [`${name} ${formatDurationMs(ms)} is not a whole number of seconds`];
  if (name !== 'backdate' && ms < lifetimeMsMin) {
    return [`${name} ${formatDurationMs(ms)} is below the minimum of ${lifetimeMsMin / 1000}s`];
  }
  return [];
}

// Below this a certificate would end while it is on its way: half of it is one second.
const lifetimeMsMin = 2000;
// A root that nobody ever rotates is one that nobody knows how to rotate.
const rootMsMax = 3650 * 86_400_000;
// Further back a certificate would be valid before decisions that it stands on were made.
const backdateMsMax = 3_600_000;
