/** The one TLS context of a secret version: TLS 1.3 alone, no resumption, and no trust in OpenSSL's own store. */

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

/**
 * Makes the context. Throws OpenSSL's error if the chain or the key cannot be read or do not match.
 * The caller wipes `privateKeyPem` afterwards; the key lives on in native memory only.
 */
export function mutualTlsContext(chainPem: string, privateKeyPem: Buffer): SecureContext {
  return createSecureContext({
    cert: chainPem,
    key: privateKeyPem,
    // Peers are judged by our own path validation. An empty list also keeps Node from loading its roots.
    ca: [],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // The hybrid first: a recorded handshake stays closed to a later quantum computer.
    ecdhCurve: 'X25519MLKEM768:X25519:P-256',
    // A resumed session would carry an identity past the trust it was checked against.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
}
