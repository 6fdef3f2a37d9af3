/** `crypto.sign` alone: what of an issuance Node.js cannot do cheaper. */

import { sign } from 'node:crypto';
import { generateKeyPair } from '../../pki/index.ts';
import { inProcess } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';

export function bareSignature(): Candidate {
  const { privateKey } = generateKeyPair('ec-p256');
  const bytes = new Uint8Array(tbsBytes);
  return inProcess({
    name: 'crypto.sign',
    inFlight: 1,
    run: () => sign('sha256', bytes, privateKey),
  });
}

// About what the to-be-signed part of a leaf has.
const tbsBytes = 380;
