/** The door of `pki/`: DER, keys, X.509 certificates and requests, path validation; bytes in, values out. */

export { DerError, type DerErrorCode } from './der/der-error.ts';
export {
  encodeBitString,
  encodeBoolean,
  encodeElement,
  encodeExplicit,
  encodeImplicit,
  encodeInteger,
  encodeNull,
  encodeObjectIdentifier,
  encodeOctetString,
  encodePrintableString,
  encodeSequence,
  encodeSet,
  encodeUtf8String,
} from './der/encode.ts';
export { checkDer } from './der/check.ts';
export { type BitString } from './der/primitive.ts';
export { DerReader, readDer } from './der/reader.ts';
export { encodeTime } from './der/time.ts';

export { KeyError, type KeyErrorCode } from './key-error.ts';
export {
  encodePkcs12,
  type KeystoreContent,
  KeystoreError,
  type KeystoreErrorCode,
} from './keystore.ts';
export {
  generateKeyPair,
  keyIdOf,
  keyKindOf,
  type KeyPair,
  privateKeyFromPkcs8Der,
  privateKeyToPkcs8Der,
  publicKeyFromSpki,
  spkiOf,
} from './key.ts';
export { keyIdOfSpki, type KeyKind, keyKindOfSpki } from './subject-public-key.ts';
export { type SignatureAlgorithm, verifySignature } from './signature-algorithm.ts';
export {
  inlineSignatures,
  pooledSignatures,
  SignatureQueueError,
  type Signatures,
} from './signatures.ts';
export { keySigner, type Signer } from './signer.ts';

export { commonNamesOf, encodeName, formatName, isEmptyName, type NameAttributes } from './name.ts';
export { type BasicConstraints } from './extensions/basic-constraints.ts';
export { type TlsPurpose } from './extensions/extended-key-usage.ts';
export { type Extensions } from './extensions/extensions.ts';
export { type KeyUsage } from './extensions/key-usage.ts';
export { type NameConstraints, type NameSubtree } from './extensions/name-constraints.ts';
export { type SubjectAltName } from './extensions/subject-alt-name.ts';
export {
  type Certificate,
  certificatesMax,
  parseCertificate,
  publicKeyOf,
  splitCertificates,
} from './certificate.ts';
export { CertificateError, type CertificateErrorCode } from './certificate-error.ts';
export {
  parsePem,
  parsePemCertificates,
  type PemBlock,
  pemEncode,
  PemError,
  type PemErrorCode,
  type PemLabel,
} from './pem.ts';
export {
  type CertificateRequest,
  createCertificateRequest,
  CsrError,
  type CsrErrorCode,
  parseCertificateRequest,
  verifyCertificateRequest,
} from './certificate-request.ts';

export { type Crl, parseCrl, type RevokedCertificate } from './crl.ts';
export { CrlError, type CrlErrorCode } from './crl-error.ts';
export { type CrlReason, crlReasons } from './crl-reason.ts';
export { type CrlValues, issueCrl, whyNotIssuedBy } from './issue-crl.ts';
export { parsePemCrls, parsePemTrust } from './pem.ts';

export { assembleCertificate, issueCertificate } from './issue-certificate.ts';
export {
  type CaProfile,
  caTemplate,
  type LeafProfile,
  leafTemplate,
  type TbsTemplate,
} from './tbs-template.ts';
export { type TbsValues } from './splice-tbs.ts';

export { type PathRefusal, type PathRefusalCode } from './path/path-refusal.ts';
export { checkNameConstraints } from './path/check-names.ts';
export { isSignedBy } from './path/signed-by.ts';
export { VerifiedPairs } from './path/verified-pairs.ts';
export { type PathVerdict, verifyPath, type VerifyPathOptions } from './path/verify-path.ts';
