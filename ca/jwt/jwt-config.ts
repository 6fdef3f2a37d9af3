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
export const jwtField = z
  .strictObject({
    ttl: durationField.default(5 * minute),
    ttlMax: durationField.default(60 * minute),
  })
  .prefault({})
  .superRefine(({ ttl, ttlMax }, context) => {
    if (ttl % second !== 0 || ttlMax % second !== 0) {
      context.addIssue({ code: 'custom', message: 'a token lives whole seconds' });
    }
    if (ttl > ttlMax) {
      context.addIssue({ code: 'custom', path: ['ttl'], message: 'ttl is longer than ttlMax' });
    }
  })
  .transform(({ ttl, ttlMax }): JwtConfig => ({ ttlMs: ttl, ttlMsMax: ttlMax }));
