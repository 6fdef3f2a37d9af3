/** Fields of the config that listeners and clusters share. */

import { z } from 'zod';
import { parseAddressRange } from './net/address-ranges.ts';
import { parsePeerPolicy, PeerPolicyError } from '../policies/index.ts';

export const nameField = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,64}$/,
    'a name is 1 to 64 letters, digits, dots, dashes or underscores',
  );

export const peersField = z.array(z.string()).superRefine((patterns, context) => {
  try {
    parsePeerPolicy(patterns);
  } catch (error) {
    if (!(error instanceof PeerPolicyError)) throw error;
    const remedy = error.remedy === undefined ? '' : `; ${error.remedy}`;
    context.addIssue({ code: 'custom', message: `${error.message}${remedy}` });
  }
});

export const rangesField = z
  .array(
    z.string().refine((text) => parseAddressRange(text) !== undefined, {
      message: 'write an IP address or a range, for example 10.0.0.0/8',
    }),
  )
  .min(1, 'an empty list would match nothing; leave it out to match everything');
