/** How an authority stands in the audit log. */

import { hash } from 'node:crypto';
import type { AuditedAuthority, AuditedCertificate } from '../audit/event.ts';
import type { Authority } from './authority.ts';

export function auditedAuthority({ id, certificate }: Authority): AuditedAuthority {
  return {
    keyId: id,
    spkiSha256: hash('sha256', certificate.spki, 'hex'),
    notBefore: new Date(certificate.notBeforeMs).toISOString(),
    notAfter: new Date(certificate.notAfterMs).toISOString(),
  };
}

export function auditedIssuing(
  issuing: Authority,
  root: Authority,
  trustDomain: string,
): AuditedCertificate {
  const { certificate } = issuing;
  return {
    serial: certificate.serial,
    spiffeId: `spiffe://${trustDomain}`,
    dnsNames: [],
    spkiSha256: hash('sha256', certificate.spki, 'hex'),
    tbsSha256: hash('sha256', certificate.tbs, 'hex'),
    notBefore: new Date(certificate.notBeforeMs).toISOString(),
    notAfter: new Date(certificate.notAfterMs).toISOString(),
    issuerKeyId: root.id,
  };
}
