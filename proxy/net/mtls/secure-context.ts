/** The one TLS context of a secret version: no resumption, no renegotiation, and no trust in OpenSSL's own store. */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

export type TlsMinVersion = '1.2' | '1.3';

/**
 * Makes the context. Throws OpenSSL's error if the chain or the key cannot be read or do not match.
 * The caller wipes `privateKeyPem` afterwards; the key lives on in native memory only.
 */
export function mutualTlsContext(
  chainPem: string,
  privateKeyPem: Buffer,
  minVersion: TlsMinVersion,
): SecureContext {
  return createSecureContext({
    cert: chainPem,
    key: privateKeyPem,
    // Peers are judged by our own path validation. An empty list also keeps Node from loading its roots.
    ca: [],
    minVersion: `TLSv${minVersion}`,
    maxVersion: 'TLSv1.3',
    ciphers,
    // The hybrid first: a recorded handshake stays closed to a later quantum computer. It stands before a slash, so
    // that OpenSSL asks for it from a client that has it and offers the other first, at the price of a round trip.
    ecdhCurve: 'X25519MLKEM768/X25519:P-256',
    // A resumed session would carry an identity past the trust it was checked against, and a renegotiated one
    // another identity than the one that was checked.
    // Of the ciphers both know ours come first, but a client without AES in hardware has its ChaCha20.
    secureOptions:
      constants.SSL_OP_NO_TICKET |
      constants.SSL_OP_NO_RENEGOTIATION |
      constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
      constants.SSL_OP_PRIORITIZE_CHACHA,
  });
}

// RFC 9325 §4.2: of TLS 1.2 only what has forward secrecy (ECDHE) and authenticated encryption (AEAD). The first
// three are TLS 1.3, which has nothing else.
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');
