/** From a request to a signature and nothing else: what no cycle around it can do cheaper. */

import {
  generateKeyPair,
  inlineSignatures,
  keySigner,
  parseCertificateRequest,
  type Signatures,
  verifyCertificateRequest,
} from '../../pki/index.ts';
import { inProcess } from '../in-process.ts';
import type { Candidate } from '../measurement.ts';
import { requestAt } from './requests.ts';

export function bareRequest(requests: readonly Uint8Array[]): Candidate {
  const signer = keySigner(generateKeyPair('ec-p256').privateKey);
  const bytes = new Uint8Array(tbsBytes);
  return inProcess({
    name: 'bare: parse, verify, sign',
    inFlight: 1,
    async run(at) {
      parseCertificateRequest(requestAt(requests, at));
      await signer.sign(bytes);
    },
  });
}

/** The same, signatures made where `signatures` makes them. */
export function requestWork(
  requests: readonly Uint8Array[],
  signatures: Signatures = inlineSignatures,
): (at: number) => Promise<Uint8Array> {
  const signer = keySigner(generateKeyPair('ec-p256').privateKey, signatures);
  const bytes = new Uint8Array(tbsBytes);
  return async (at) => {
    await verifyCertificateRequest(requestAt(requests, at), signatures);
    return signer.sign(bytes);
  };
}

// About what the to-be-signed part of a leaf has.
const tbsBytes = 380;
