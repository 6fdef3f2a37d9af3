/** To-be-signed certificates from a profile: what the profile fixes is encoded once, the rest spliced in. */

import { concatBytes } from '../core/index.ts';
import { encodeAuthorityKeyId } from './extensions/key-identifiers.ts';
import { encodeBasicConstraints } from './extensions/basic-constraints.ts';
import { encodeExtendedKeyUsage } from './extensions/extended-key-usage.ts';
import { encodeExtension } from './extensions/extension.ts';
import { extensionOid } from './extensions/extension-oid.ts';
import { encodeKeyUsage, type KeyUsage } from './extensions/key-usage.ts';
import { isEmptyName } from './name.ts';
import { algorithmIdentifier, type SignatureAlgorithm } from './signature-algorithm.ts';
import { spliceTbs, type TbsValues, templateError } from './splice-tbs.ts';
import { isRsaSpki, keyIdOfSpki } from './subject-public-key.ts';

export interface TbsTemplate {
  /** The DER of a TBSCertificate. Throws `CertificateError` with `certificate_template` on bad values. */
  encode(values: TbsValues): Uint8Array;
}

export interface LeafProfile {
  readonly issuerName: Uint8Array;
  readonly issuerKeyId: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
}

/** The profile of an X509-SVID: exactly one URI, no CA, both purposes of TLS. */
export function leafTemplate(profile: LeafProfile): TbsTemplate {
  const shared = [
    encodeExtension(
      extensionOid.extendedKeyUsage,
      false,
      encodeExtendedKeyUsage(['serverAuth', 'clientAuth']),
    ),
    encodeExtension(extensionOid.basicConstraints, true, encodeBasicConstraints({ ca: false })),
    authorityKeyIdExtension(profile.issuerKeyId),
  ];
  const fixed = concatBytes(keyUsageExtension(['digitalSignature']), ...shared);
  // RSA key transport is the one use of a TLS key that encrypts; an EC key can only sign.
  const fixedRsa = concatBytes(
    keyUsageExtension(['digitalSignature', 'keyEncipherment']),
    ...shared,
  );
  const issuer = concatBytes(algorithmIdentifier(profile.signatureAlgorithm), profile.issuerName);
  return {
    encode(values) {
      if (values.uris.length !== 1) throw templateError('a leaf has exactly one URI (X-1)');
      return spliceTbs(values, issuer, isRsaSpki(values.spki) ? fixedRsa : fixed);
    },
  };
}

export type CaProfile = {
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** How many CAs may follow below; absent means no limit. */
  readonly pathLength?: number;
} & (
  | { readonly selfSigned: true }
  | {
      readonly selfSigned: false;
      readonly issuerName: Uint8Array;
      readonly issuerKeyId: Uint8Array;
    }
);

/**
 * The profile of an authority. The subject must not be empty (RFC 5280 §4.1.2.6) and should differ
 * for each key, so that a verifier with many authorities finds the right one by name.
 */
export function caTemplate(profile: CaProfile): TbsTemplate {
  const { pathLength } = profile;
  const constraints = pathLength === undefined ? { ca: true } : { ca: true, pathLength };
  const fixed = concatBytes(
    keyUsageExtension(['keyCertSign', 'cRLSign']),
    encodeExtension(extensionOid.basicConstraints, true, encodeBasicConstraints(constraints)),
  );
  const algorithm = algorithmIdentifier(profile.signatureAlgorithm);
  return {
    encode(values) {
      const { subject, spki } = values;
      if (subject === undefined || isEmptyName(subject))
        throw templateError('a CA needs a subject');
      const issuerName = profile.selfSigned ? subject : profile.issuerName;
      const issuerKeyId = profile.selfSigned ? keyIdOfSpki(spki) : profile.issuerKeyId;
      return spliceTbs(
        values,
        concatBytes(algorithm, issuerName),
        concatBytes(fixed, authorityKeyIdExtension(issuerKeyId)),
      );
    },
  };
}

function keyUsageExtension(usages: readonly KeyUsage[]): Uint8Array {
  return encodeExtension(extensionOid.keyUsage, true, encodeKeyUsage(usages));
}

function authorityKeyIdExtension(keyId: Uint8Array): Uint8Array {
  return encodeExtension(extensionOid.authorityKeyId, false, encodeAuthorityKeyId(keyId));
}
