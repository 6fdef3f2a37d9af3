/** The `jwt` part of the CA's configuration. */

import { z } from 'zod';
import { durationField } from '../../core/index.ts';

export interface JwtConfig {
  readonly ttlMs: number;
  /** A longer life that is asked for is cut to this. */
  readonly ttlMsMax: number;
}

const second = 1000;
const minute = 60 * second;

// A bearer token cannot be called back: what is stolen is good until its end.
const ttlMsDefault = 5 * minute;
const ttlMsMaxDefault = 60 * minute;

export const jwtField = z
  .strictObject({ ttl: durationField.optional(), ttlMax: durationField.optional() })
  .prefault({})
  .superRefine(({ ttl = second, ttlMax = ttlMsMaxDefault }, context) => {
    if (ttl % second !== 0 || ttlMax % second !== 0) {
      context.addIssue({ code: 'custom', message: 'a token lives whole seconds' });
    }
    if (ttl > ttlMax) {
      context.addIssue({ code: 'custom', path: ['ttl'], message: 'ttl is longer than ttlMax' });
    }
  });

/** With what is not given filled in: the defaults, or what fits a key of this life, which is replaced at half of it. */
export function jwtConfigOf(given: z.infer<typeof jwtField>, keyMs: number): JwtConfig {
  const fitsMs = Math.max(second, Math.floor(keyMs / 2 / second) * second);
  const { ttlMax: ttlMsMax = Math.min(ttlMsMaxDefault, fitsMs) } = given;
  const { ttl: ttlMs = Math.min(ttlMsDefault, ttlMsMax) } = given;
  return { ttlMs, ttlMsMax };
}
