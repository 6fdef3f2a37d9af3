/** The certificates in use, without a byte of any key. */

import { toHex } from '../../core/index.ts';
import { type Certificate, formatName, keyIdOf, publicKeyOf } from '../../pki/index.ts';
import type { TlsMaterial } from '../net/mtls/tls-material.ts';

export interface CertificatesView {
  readonly identity: IdentityView | null;
  readonly trust: TrustView | null;
}

interface IdentityView {
  readonly spiffeId: string;
  readonly version: string;
  readonly loadedAt: string;
  readonly expiresInSeconds: number;
  readonly chain: readonly CertificateView[];
}

interface TrustView {
  readonly version: string;
  readonly loadedAt: string;
  readonly bundles: readonly {
    readonly trustDomain: string;
    readonly authorities: readonly CertificateView[];
  }[];
}

interface CertificateView {
  readonly subject: string;
  readonly uris: readonly string[];
  readonly serial: string;
  readonly keyId: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

export function certificatesView(
  material: TlsMaterial | undefined,
  nowMs: number,
): CertificatesView {
  if (material === undefined) return { identity: null, trust: null };
  const { identity, trust } = material;
  return {
    identity: {
      spiffeId: identity.id,
      version: identity.version,
      loadedAt: isoTime(identity.loadedAtMs),
      expiresInSeconds: Math.floor((identity.notAfterMs - nowMs) / 1000),
      chain: identity.chain.map(certificateView),
    },
    trust: {
      version: trust.version,
      loadedAt: isoTime(trust.loadedAtMs),
      bundles: [...trust.bundles.values()].map((bundle) => ({
        trustDomain: bundle.trustDomain,
        authorities: bundle.x509Authorities.map(certificateView),
      })),
    },
  };
}

function certificateView(certificate: Certificate): CertificateView {
  return {
    subject: formatName(certificate.subject),
    uris: certificate.extensions.subjectAltName?.uris ?? [],
    serial: certificate.serial,
    keyId: toHex(keyIdOf(publicKeyOf(certificate))),
    notBefore: isoTime(certificate.notBeforeMs),
    notAfter: isoTime(certificate.notAfterMs),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
