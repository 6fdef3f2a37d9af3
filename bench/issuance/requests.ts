/** Certificate requests of as many keys, made before any measurement. */

import { createCertificateRequest, generateKeyPair, keySigner } from '../../pki/index.ts';

/** Different keys, so that no candidate gains from importing the same one twice. */
export function makeRequests(): Promise<readonly Uint8Array[]> {
  return Promise.all(
    Array.from({ length: requestCount }, () =>
      createCertificateRequest(keySigner(generateKeyPair('ec-p256').privateKey)),
    ),
  );
}

/** The request whose turn it is. */
export function requestAt(requests: readonly Uint8Array[], at: number): Uint8Array {
  return requests[at % requests.length] ?? new Uint8Array();
}

const requestCount = 256;
