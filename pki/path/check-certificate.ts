/** The rules of RFC 5280 §6.1.3 and §6.1.4 that look at one certificate at a time. */

import { equalBytes } from '../../core/index.ts';
import type { Certificate } from '../certificate.ts';
import { anyExtendedKeyUsage, type TlsPurpose } from '../extensions/extended-key-usage.ts';
import { describeCertificate, type PathRefusal, refused } from './path-refusal.ts';

/** Validity, unknown critical extensions, and purpose, which hold for the leaf and for authorities. */
export function checkCertificate(
  certificate: Certificate,
  atMs: number,
  purpose: TlsPurpose | undefined,
  role: 'leaf' | 'authority',
): PathRefusal | undefined {
  const { extensions, notBeforeMs, notAfterMs } = certificate;
  // Written so that a time that is not a number is refused.
  if (!(atMs >= notBeforeMs)) {
    return refused(
      'not_yet_valid',
      `${describeCertificate(certificate)} begins at ${iso(notBeforeMs)}`,
    );
  }
  // RFC 5280 §4.1.2.5: the final second belongs to the validity.
  if (!(atMs < notAfterMs + 1000)) {
    return refused('expired', `${describeCertificate(certificate)} ended at ${iso(notAfterMs)}`);
  }
  if (extensions.unknownCritical.length > 0) {
    const list = extensions.unknownCritical.join(', ');
    return refused('unknown_critical_extension', `${describeCertificate(certificate)} has ${list}`);
  }
  if (purpose === undefined) return undefined;
  const purposes = extensions.extendedKeyUsage?.purposes;
  // In an authority the extension limits what it may issue for, as every TLS library reads it.
  if (purposes?.includes(purpose) === false && !purposes.includes(anyExtendedKeyUsage)) {
    return refused('purpose', `${describeCertificate(certificate)} is not for ${purpose}`);
  }
  const usages = extensions.keyUsage?.usages;
  if (role === 'leaf' && usages?.has('digitalSignature') === false) {
    return refused('key_usage', `${describeCertificate(certificate)} may not sign handshakes`);
  }
  return undefined;
}

/** Whether a certificate may sign others: RFC 5280 §6.1.4 (k) and (n). */
export function checkAuthority(certificate: Certificate): PathRefusal | undefined {
  const { basicConstraints, keyUsage } = certificate.extensions;
  if (basicConstraints?.ca !== true) {
    return refused('not_a_ca', `${describeCertificate(certificate)} is not an authority`);
  }
  if (keyUsage?.usages.has('keyCertSign') === false) {
    return refused('key_usage', `${describeCertificate(certificate)} may not sign certificates`);
  }
  return undefined;
}

/** RFC 5280 §6.1.4 (l) and (m): the authorities between `issuer` and the leaf, self-issued ones not counted. */
export function checkPathLengths(
  path: readonly Certificate[],
  issuer: Certificate,
): PathRefusal | undefined {
  const pathLength = issuer.extensions.basicConstraints?.pathLength;
  if (pathLength === undefined) return undefined;
  const between = path.slice(1).filter((certificate) => !isSelfIssued(certificate)).length;
  if (between <= pathLength) return undefined;
  return refused(
    'path_length',
    `${describeCertificate(issuer)} allows ${pathLength} authorities below it, there are ${between}`,
  );
}

export function isSelfIssued(certificate: Certificate): boolean {
  return equalBytes(certificate.subject, certificate.issuer);
}

function iso(instantMs: number): string {
  return new Date(instantMs).toISOString();
}
