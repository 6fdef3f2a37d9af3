/** What makes a certificate an X509-SVID of a workload (X509-SVID §2 to §5.2; rules ). */

import { type Certificate, isEmptyName } from '../pki/index.ts';
import { isSpiffeId, pathOf, type SpiffeId } from './spiffe-id.ts';

export type LeafRefusalCode =
  | 'svid_uri_count'
  | 'svid_id'
  | 'svid_no_path'
  | 'svid_is_ca'
  | 'svid_key_usage'
  | 'svid_purpose'
  | 'svid_san_not_critical';

export type LeafVerdict =
  | { readonly kind: 'ok'; readonly id: SpiffeId }
  | { readonly kind: 'refused'; readonly code: LeafRefusalCode; readonly detail: string };

/** Says whose SVID `certificate` is, without asking whether anyone vouches for it. */
export function checkLeaf(certificate: Certificate): LeafVerdict {
  const { subjectAltName } = certificate.extensions;
  // two identities in one certificate would let each reader choose another.
  const [uri, ...more] = subjectAltName?.uris ?? [];
  if (uri === undefined || more.length > 0) {
    return refused(
      'svid_uri_count',
      `${more.length + (uri === undefined ? 0 : 1)} URI names, exactly 1 is needed`,
    );
  }
  if (!isSpiffeId(uri)) return refused('svid_id', `${JSON.stringify(uri)} is not a SPIFFE ID`);
  // an ID without a path is an authority's, and an authority may not authenticate.
  if (pathOf(uri) === '') return refused('svid_no_path', `${uri} is the ID of a trust domain`);
  if (isEmptyName(certificate.subject) && subjectAltName?.critical !== true) {
    return refused(
      'svid_san_not_critical',
      `${uri}: the subject is empty and the SAN is not critical`,
    );
  }
  return faultInUse(certificate, uri) ?? { kind: 'ok', id: uri };
}

function faultInUse({ extensions }: Certificate, id: SpiffeId): LeafVerdict | undefined {
  if (extensions.basicConstraints?.ca === true) {
    return refused('svid_is_ca', `${id}: the certificate is an authority's`);
  }
  //
  const { keyUsage, extendedKeyUsage } = extensions;
  if (keyUsage?.critical !== true || !keyUsage.usages.has('digitalSignature')) {
    return refused(
      'svid_key_usage',
      `${id}: key usage must be critical and allow digitalSignature`,
    );
  }
  if (keyUsage.usages.has('keyCertSign') || keyUsage.usages.has('cRLSign')) {
    return refused('svid_key_usage', `${id}: the key may sign certificates or revocation lists`);
  }
  // one SVID serves both ends of a connection.
  const purposes = extendedKeyUsage?.purposes;
  if (
    purposes !== undefined &&
    !(purposes.includes('serverAuth') && purposes.includes('clientAuth'))
  ) {
    return refused('svid_purpose', `${id}: extended key usage lacks serverAuth or clientAuth`);
  }
  return undefined;
}

function refused(code: LeafRefusalCode, detail: string): LeafVerdict {
  return { kind: 'refused', code, detail };
}
