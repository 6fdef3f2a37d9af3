/** A certificate revocation list, version 2, as an immutable value (RFC 5280 §5). */

import { equalBytes, toHex } from '../core/index.ts';
import { CertificateError } from './certificate-error.ts';
import { serialOctetsMax } from './certificate.ts';
import { CrlError } from './crl-error.ts';
import { type CrlReason, crlReasonOf } from './crl-reason.ts';
import { checkDer } from './der/check.ts';
import { DerError } from './der/der-error.ts';
import { checkInteger } from './der/primitive.ts';
import { type DerReader, readDer } from './der/reader.ts';
import { tag } from './der/tag.ts';
import { type RawExtension, readExtension } from './extensions/extension.ts';
import { crlExtensionOid, extensionOid } from './extensions/extension-oid.ts';
import { decodeAuthorityKeyId } from './extensions/key-identifiers.ts';
import { checkName } from './name.ts';
import { algorithmOf, type SignatureAlgorithm } from './signature-algorithm.ts';

export interface RevokedCertificate {
  /** As {@link Certificate}'s: lower hexadecimal, whole octets, no leading `00`. */
  readonly serial: string;
  readonly revokedAtMs: number;
  readonly reason: CrlReason;
}

export interface Crl {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  /** DER Name. */
  readonly issuer: Uint8Array;
  readonly authorityKeyId: Uint8Array;
  readonly number: bigint;
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
  /** By serial. */
  readonly revoked: ReadonlyMap<string, RevokedCertificate>;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/**
 * Reads one list from exactly `der`; the value keeps a copy. Throws {@link CrlError}: on anything that is
 * not strict DER, on bytes that follow, on another version than 2, on a serial that stands twice, and on
 * every critical extension, since an unknown one may mean that the list is not what it seems (§5.2).
 */
export function parseCrl(der: Uint8Array): Crl {
  const own = new Uint8Array(der);
  try {
    checkDer(own, crlBytesMax);
    return readDer(own, (reader) => reader.sequence((fields) => readCrl(own, fields)), crlBytesMax);
  } catch (cause) {
    if (!(cause instanceof DerError || cause instanceof CertificateError)) throw cause;
    throw new CrlError('crl_malformed', `not a revocation list: ${cause.message}`, { cause });
  }
}

function readCrl(der: Uint8Array, fields: DerReader): Crl {
  const tbs = fields.whole(tag.sequence);
  const outerAlgorithm = fields.whole(tag.sequence);
  const signature = fields.octetAlignedBitString();
  const { algorithm, ...body } = readDer(tbs, (reader) => reader.sequence(readTbs), crlBytesMax);
  // §5.1.1.2: the unsigned identifier must repeat the signed one.
  if (!equalBytes(algorithm, outerAlgorithm)) {
    throw new CrlError('crl_algorithm', 'the two signature algorithms differ');
  }
  const signatureAlgorithm = algorithmOf(outerAlgorithm);
  if (signatureAlgorithm === undefined) {
    throw new CrlError('crl_algorithm', 'the signature algorithm is not supported');
  }
  return { der, tbs, signatureAlgorithm, signature, ...body };
}

type TbsFields = Omit<Crl, 'der' | 'tbs' | 'signatureAlgorithm' | 'signature'>;

function readTbs(reader: DerReader): TbsFields & { readonly algorithm: Uint8Array } {
  // §5.1.2.1: the version is optional in the syntax, and required where there are extensions.
  const version = reader.peekTag() === tag.integer ? reader.smallInteger() : 0;
  if (version !== 1) {
    throw new CrlError('crl_version', `version ${version + 1}, only 2 is accepted`);
  }
  const algorithm = reader.whole(tag.sequence);
  const issuer = reader.whole(tag.sequence);
  checkName(issuer);
  const thisUpdateMs = reader.time();
  // §5.1.2.5 requires it; without it nobody could tell a fresh list from one that was held back.
  const nextUpdateMs = reader.time();
  if (nextUpdateMs < thisUpdateMs) {
    throw new CrlError('crl_validity', 'the list ends before it begins');
  }
  const revoked = new Map<string, RevokedCertificate>();
  if (reader.peekTag() === tag.sequence) reader.sequence((list) => readRevoked(list, revoked));
  const extensions = reader.optionalExplicit(0, (inner) =>
    inner.sequence((list) => list.each(extensionsMax, readExtension)),
  );
  return {
    algorithm,
    issuer,
    thisUpdateMs,
    nextUpdateMs,
    revoked,
    ...readListExtensions(extensions ?? []),
  };
}

function readRevoked(list: DerReader, revoked: Map<string, RevokedCertificate>): void {
  // §5.1.2.6: with nothing revoked the list is absent.
  if (list.atEnd) throw new CrlError('crl_entry', 'the list of revoked certificates is empty');
  for (const entry of list.each(revokedMax, readRevokedCertificate)) {
    if (revoked.has(entry.serial)) {
      throw new CrlError('crl_entry', `serial ${entry.serial} stands twice`);
    }
    revoked.set(entry.serial, entry);
  }
}

function readRevokedCertificate(reader: DerReader): RevokedCertificate {
  return reader.sequence((entry) => {
    const serial = readSerial(entry);
    const revokedAtMs = entry.time();
    let reason: CrlReason = 'unspecified';
    if (!entry.atEnd) {
      const extensions = entry.sequence((list) => list.each(extensionsMax, readExtension));
      if (extensions.length === 0) throw new CrlError('crl_extension', 'a list of them is empty');
      const code = takeKnown(extensions, [crlExtensionOid.reasonCode]).get(
        crlExtensionOid.reasonCode,
      );
      if (code !== undefined) reason = readReason(code.value);
    }
    return { serial, revokedAtMs, reason };
  });
}

function readListExtensions(
  extensions: readonly RawExtension[],
): Pick<Crl, 'authorityKeyId' | 'number'> {
  const known = takeKnown(extensions, [extensionOid.authorityKeyId, crlExtensionOid.crlNumber]);
  // §5.2.1 and §5.2.3 require both: the key that signed, and which of two lists is the newer.
  const keyId = known.get(extensionOid.authorityKeyId);
  const authorityKeyId = keyId === undefined ? undefined : decodeAuthorityKeyId(keyId.value);
  const number = known.get(crlExtensionOid.crlNumber);
  if (authorityKeyId === undefined || number === undefined) {
    throw new CrlError('crl_extension', 'the authority key identifier or the number is missing');
  }
  return { authorityKeyId, number: readNumber(number.value) };
}

/** The extensions by identifier. Throws on a repeated one, and on a critical one that is not `known`. */
function takeKnown(
  extensions: readonly RawExtension[],
  known: readonly string[],
): ReadonlyMap<string, RawExtension> {
  const found = new Map<string, RawExtension>();
  for (const extension of extensions) {
    const { oid, critical } = extension;
    if (found.has(oid)) throw new CrlError('crl_extension', `extension ${oid} stands twice`);
    if (critical && !known.includes(oid)) {
      throw new CrlError('crl_extension', `critical extension ${oid} is not understood`);
    }
    found.set(oid, extension);
  }
  return found;
}

function readReason(value: Uint8Array): CrlReason {
  const content = readDer(value, (reader) => reader.content(tag.enumerated));
  checkInteger(content);
  const reason = content.length === 1 ? crlReasonOf(content[0] ?? 0) : undefined;
  if (reason !== undefined) return reason;
  throw new CrlError('crl_entry', `${toHex(content)} is not a reason`);
}

function readNumber(value: Uint8Array): bigint {
  const content = readDer(value, (reader) => reader.integer());
  // §5.2.3: not negative, and at most 20 octets.
  if (content.length > serialOctetsMax || (content[0] ?? 0) >= 0x80) {
    throw new CrlError('crl_extension', 'the number is negative or longer than 20 octets');
  }
  return BigInt(`0x${toHex(content)}`);
}

function readSerial(reader: DerReader): string {
  const content = reader.integer();
  const first = content[0] ?? 0;
  if (content.length > serialOctetsMax || first >= 0x80 || (first === 0 && content.length === 1)) {
    throw new CrlError('crl_entry', 'a serial number is not a positive integer of 20 octets');
  }
  return toHex(first === 0 ? content.subarray(1) : content);
}

// About fifty octets for each certificate; as PEM it still fits into what is read of a PEM text.
export const crlBytesMax = 3 * 1024 * 1024;
// More than this many at once is a compromise of their issuer, which is revoked instead.
export const revokedMax = 50_000;
// Two in practice.
const extensionsMax = 16;
