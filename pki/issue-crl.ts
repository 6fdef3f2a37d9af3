/** Writing and signing a revocation list, and checking that an issuer signed one (RFC 5280 §5). */

import { concatBytes, equalBytes, fromHex } from '../core/index.ts';
import { type Certificate, publicKeyOf } from './certificate.ts';
import { type Crl, type RevokedCertificate, revokedMax } from './crl.ts';
import { CrlError } from './crl-error.ts';
import { crlReasonCode } from './crl-reason.ts';
import { encodeElement, encodeExplicit, encodeInteger, encodeSequence } from './der/encode.ts';
import { tag } from './der/tag.ts';
import { encodeTime } from './der/time.ts';
import { encodeExtension } from './extensions/extension.ts';
import { crlExtensionOid, extensionOid } from './extensions/extension-oid.ts';
import { encodeAuthorityKeyId } from './extensions/key-identifiers.ts';
import { assembleCertificate } from './issue-certificate.ts';
import { KeyError } from './key-error.ts';
import { algorithmIdentifier, verifySignature } from './signature-algorithm.ts';
import type { Signer } from './signer.ts';

export interface CrlValues {
  /** The issuer's subject, DER Name. */
  readonly issuer: Uint8Array;
  readonly issuerKeyId: Uint8Array;
  /** Larger than that of every list before it (§5.2.3). */
  readonly number: bigint;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  readonly revoked: readonly RevokedCertificate[];
}

/** The DER of a signed list, entries in the order given. Throws {@link CrlError} `crl_values`. */
export async function issueCrl(values: CrlValues, signer: Signer): Promise<Uint8Array> {
  const tbs = encodeTbs(values, signer);
  // A list is signed as a certificate is: the bytes, the algorithm again, the signature (§5.1).
  return assembleCertificate(tbs, signer.algorithm, await signer.sign(tbs));
}

/** Undefined if `issuer` is who signed the list, and may sign lists; else why not. */
export function whyNotIssuedBy(crl: Crl, issuer: Certificate): string | undefined {
  if (!equalBytes(crl.issuer, issuer.subject)) return 'it names another issuer';
  const { subjectKeyId, keyUsage } = issuer.extensions;
  if (subjectKeyId === undefined || !equalBytes(crl.authorityKeyId, subjectKeyId)) {
    return 'it names another key of the issuer';
  }
  // §6.3.3 (f): the issuer's certificate must allow it, if it says what it allows.
  if (keyUsage !== undefined && !keyUsage.usages.has('cRLSign')) {
    return 'its issuer may not sign revocation lists';
  }
  try {
    const key = publicKeyOf(issuer);
    if (verifySignature(crl.signatureAlgorithm, key, crl.tbs, crl.signature)) return undefined;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    return error.message;
  }
  return 'its signature does not hold';
}

function encodeTbs(values: CrlValues, signer: Signer): Uint8Array {
  const { revoked } = values;
  if (revoked.length > revokedMax) {
    throw new CrlError('crl_values', `${revoked.length} certificates, at most ${revokedMax} fit`);
  }
  if (values.nextUpdateMs < values.thisUpdateMs) {
    throw new CrlError('crl_values', 'the list would end before it begins');
  }
  return encodeSequence(
    encodeInteger(1),
    algorithmIdentifier(signer.algorithm),
    values.issuer,
    encodeTime(values.thisUpdateMs),
    encodeTime(values.nextUpdateMs),
    ...(revoked.length === 0 ? [] : [encodeSequence(...revoked.map(encodeRevoked))]),
    encodeExplicit(
      0,
      encodeSequence(
        encodeExtension(
          extensionOid.authorityKeyId,
          false,
          encodeAuthorityKeyId(values.issuerKeyId),
        ),
        encodeExtension(crlExtensionOid.crlNumber, false, encodeInteger(octetsOf(values.number))),
      ),
    ),
  );
}

function encodeRevoked({ serial, revokedAtMs, reason }: RevokedCertificate): Uint8Array {
  const octets = fromHex(serial);
  if (octets === undefined || octets.length === 0) {
    throw new CrlError('crl_values', `${JSON.stringify(serial)} is not a serial`);
  }
  const fields = concatBytes(encodeInteger(octets), encodeTime(revokedAtMs));
  // §5.3.1: "unspecified" is said by saying nothing.
  if (reason === 'unspecified') return encodeSequence(fields);
  const code = encodeElement(tag.enumerated, Uint8Array.of(crlReasonCode(reason)));
  return encodeSequence(
    fields,
    encodeSequence(encodeExtension(crlExtensionOid.reasonCode, false, code)),
  );
}

function octetsOf(value: bigint): Uint8Array {
  const digits = value.toString(16);
  const octets = fromHex(digits.padStart(digits.length + (digits.length % 2), '0'));
  if (octets !== undefined && value >= 0n) return octets;
  throw new CrlError('crl_values', `${value} is not the number of a list`);
}
