/** The certificates a TLS peer sent, as bytes. */

import type { TLSSocket } from 'node:tls';

/** DER, leaf first, as presented; empty if the peer sent none. The chain is not verified. */
export function peerChainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < chainLengthMax) {
    chain.push(new Uint8Array(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

// Longer than any chain that path validation would accept.
const chainLengthMax = 10;
