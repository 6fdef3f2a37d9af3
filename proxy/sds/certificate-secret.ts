/** From a `tls_certificate` secret to our identity: everything is checked before anything is replaced. */

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { Secret } from '../../api/index.ts';
import { CodedError, equalBytes, systemErrorCode } from '../../core/index.ts';
import { parsePemCertificates } from '../../pki/index.ts';
import { parseX509Svid, type X509Svid } from '../../spiffe/index.ts';
import { mutualTlsContext, type TlsMinVersion } from '../net/mtls/secure-context.ts';
import type { TlsIdentity } from '../net/mtls/tls-material.ts';
import { inlineBytes } from './data-source.ts';
import { SecretError } from './secret-error.ts';

/**
 * The identity in `secret`, with its TLS context made. Throws {@link SecretError}. Whether the chain
 * leads to a bundle is not asked here, since trust comes in a secret of its own.
 *
 * The key's bytes are wiped whatever the outcome.
 */
export function readCertificateSecret(
  secret: Secret,
  version: string,
  nowMs: number,
  minVersion: TlsMinVersion,
): TlsIdentity {
  if (secret.type?.$case !== 'tlsCertificate') {
    throw new SecretError('secret_kind', `${secret.name} holds no TLS certificate`);
  }
  const { certificateChain, privateKey } = secret.type.value;
  const keyPem = inlineBytes(privateKey, `the private key of ${secret.name}`);
  try {
    const chainPem = inlineBytes(certificateChain, `the chain of ${secret.name}`).toString(
      'latin1',
    );
    const svid = readSvid(chainPem, secret.name);
    const [leaf] = svid.chain;
    if (leaf === undefined) throw new SecretError('certificate_unreadable', 'the chain is empty');
    checkKey(keyPem, leaf.spki, secret.name);
    if (leaf.notAfterMs < nowMs) {
      const ended = new Date(leaf.notAfterMs).toISOString();
      throw new SecretError(
        'certificate_expired',
        `the certificate of ${secret.name} expired at ${ended}`,
      );
    }
    return {
      ...svid,
      context: makeContext(chainPem, keyPem, secret.name, minVersion),
      notBeforeMs: leaf.notBeforeMs,
      notAfterMs: leaf.notAfterMs,
      version,
      loadedAtMs: nowMs,
    };
  } finally {
    keyPem.fill(0);
  }
}

function makeContext(
  chainPem: string,
  keyPem: Buffer,
  name: string,
  minVersion: TlsMinVersion,
): SecureContext {
  try {
    return mutualTlsContext(chainPem, keyPem, minVersion);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    // Only the code: the message is OpenSSL's, and nobody knows what it may quote.
    const reason = `TLS cannot use the certificate of ${name}: ${systemErrorCode(cause) ?? 'refused'}`;
    throw new SecretError('certificate_unusable', reason);
  }
}

function readSvid(chainPem: string, name: string): X509Svid {
  try {
    return parseX509Svid(parsePemCertificates(chainPem).map((certificate) => certificate.der));
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    const reason = `the chain of ${name} is no X509-SVID: ${cause.message}`;
    throw new SecretError('certificate_unreadable', reason, { cause });
  }
}

function checkKey(keyPem: Buffer, leafSpki: Uint8Array, name: string): void {
  // OpenSSL's own message may quote what it could not read, so it is not passed on.
  const publicKey = publicKeyOfPem(keyPem);
  if (publicKey === undefined) {
    throw new SecretError('key_unreadable', `the private key of ${name} cannot be read`);
  }
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  if (!equalBytes(new Uint8Array(spki), leafSpki)) {
    throw new SecretError(
      'key_mismatch',
      `the private key of ${name} does not match its certificate`,
    );
  }
}

function publicKeyOfPem(keyPem: Buffer): KeyObject | undefined {
  try {
    return createPublicKey(createPrivateKey(keyPem));
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
