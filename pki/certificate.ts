/** An X.509 v3 certificate as an immutable value (RFC 5280 §4.1). */

import type { KeyObject } from 'node:crypto';
import { equalBytes, toHex } from '../core/index.ts';
import { CertificateError } from './certificate-error.ts';
import { checkDer } from './der/check.ts';
import { DerError } from './der/der-error.ts';
import { headerLength, readLength } from './der/header.ts';
import { type DerReader, readDer } from './der/reader.ts';
import { tag } from './der/tag.ts';
import { type Extensions, noExtensions, readExtensions } from './extensions/extensions.ts';
import { publicKeyFromSpki } from './key.ts';
import { checkName } from './name.ts';
import { algorithmOf, type SignatureAlgorithm } from './signature-algorithm.ts';

export interface Certificate {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  /** Lower-case hexadecimal of the positive number, whole octets, without a leading `00`. */
  readonly serial: string;
  /** DER Name; two names are the same when their bytes are. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBeforeMs: number;
  /** The last second in which the certificate is valid (RFC 5280 §4.1.2.5: inclusive). */
  readonly notAfterMs: number;
  readonly spki: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly extensions: Extensions;
}

/**
 * Reads one certificate from exactly `der`; the value keeps a copy. Throws {@link CertificateError}: on
 * anything that is not strict DER, on bytes that follow, on another version than 3, on a serial number
 * that is not positive or longer than 20 octets, on a repeated extension.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  // A copy, because what came from the network may be a view into a buffer that is used again.
  const own = new Uint8Array(der);
  try {
    checkDer(own);
    return readDer(own, (reader) => reader.sequence((fields) => readCertificate(own, fields)));
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause;
    throw new CertificateError('certificate_malformed', `not a certificate: ${cause.message}`, {
      cause,
    });
  }
}

/** The subject's key, imported once for each certificate value. Throws `KeyError`. */
export function publicKeyOf(certificate: Certificate): KeyObject {
  const known = publicKeys.get(certificate);
  if (known !== undefined) return known;
  const publicKey = publicKeyFromSpki(certificate.spki);
  publicKeys.set(certificate, publicKey);
  return publicKey;
}

/** Splits the concatenated certificates of the Workload API without reading their insides. */
export function splitCertificates(concatenatedDer: Uint8Array): Uint8Array[] {
  const certificates: Uint8Array[] = [];
  let rest = concatenatedDer;
  while (rest.length > 0) {
    if (certificates.length === certificatesMax) {
      throw new CertificateError('certificate_count', `more than ${certificatesMax} certificates`);
    }
    const length = sequenceLength(rest);
    certificates.push(new Uint8Array(rest.subarray(0, length)));
    rest = rest.subarray(length);
  }
  return certificates;
}

function readCertificate(der: Uint8Array, fields: DerReader): Certificate {
  const tbs = fields.whole(tag.sequence);
  const outerAlgorithm = fields.whole(tag.sequence);
  const signature = fields.octetAlignedBitString();
  const { algorithm: innerAlgorithm, ...body } = readDer(tbs, (reader) => reader.sequence(readTbs));
  // RFC 5280 §4.1.1.2: the unsigned identifier must repeat the signed one.
  if (!equalBytes(innerAlgorithm, outerAlgorithm)) {
    throw new CertificateError('certificate_algorithm', 'the two signature algorithms differ');
  }
  const signatureAlgorithm = algorithmOf(outerAlgorithm);
  if (signatureAlgorithm === undefined) {
    throw new CertificateError(
      'certificate_algorithm',
      `signature algorithm ${describeAlgorithm(outerAlgorithm)} is not supported`,
    );
  }
  return { der, tbs, signatureAlgorithm, signature, ...body };
}

function readTbs(reader: DerReader): Omit<
  Certificate,
  'der' | 'tbs' | 'signatureAlgorithm' | 'signature'
> & {
  readonly algorithm: Uint8Array;
} {
  const version = reader.optionalExplicit(0, (inner) => inner.smallInteger()) ?? 0;
  if (version !== 2) {
    throw new CertificateError('certificate_version', `version ${version + 1}, only 3 is accepted`);
  }
  const serial = readSerial(reader);
  const algorithm = reader.whole(tag.sequence);
  const issuer = readName(reader);
  const { notBeforeMs, notAfterMs } = reader.sequence((validity) => ({
    notBeforeMs: validity.time(),
    notAfterMs: validity.time(),
  }));
  if (notAfterMs < notBeforeMs) {
    throw new CertificateError('certificate_validity', 'the certificate ends before it begins');
  }
  const subject = readName(reader);
  const spki = reader.whole(tag.sequence);
  const extensions = reader.optionalExplicit(3, readExtensions) ?? noExtensions;
  return { serial, algorithm, issuer, notBeforeMs, notAfterMs, subject, spki, extensions };
}

function readName(reader: DerReader): Uint8Array {
  const name = reader.whole(tag.sequence);
  checkName(name);
  return name;
}

// RFC 5280 §4.1.2.2: a positive integer of at most 20 octets.
function readSerial(reader: DerReader): string {
  const content = reader.integer();
  const first = content[0] ?? 0;
  if (content.length > serialOctetsMax || first >= 0x80 || (first === 0 && content.length === 1)) {
    throw new CertificateError(
      'certificate_serial',
      'the serial number is not a positive integer of at most 20 octets',
    );
  }
  return toHex(first === 0 ? content.subarray(1) : content);
}

function sequenceLength(bytes: Uint8Array): number {
  try {
    if (bytes[0] !== tag.sequence) throw new DerError('der_tag', 'a certificate is a sequence');
    const length = readLength(bytes, 0, bytes.length);
    return headerLength(length) + length;
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause;
    const reason = `the bytes do not split into certificates: ${cause.message}`;
    throw new CertificateError('certificate_malformed', reason, { cause });
  }
}

function describeAlgorithm(identifier: Uint8Array): string {
  return readDer(identifier, (reader) =>
    reader.sequence((fields) => {
      const oid = fields.objectIdentifier();
      if (!fields.atEnd) fields.skip();
      return oid;
    }),
  );
}

const publicKeys = new WeakMap<Certificate, KeyObject>();

/** RFC 5280 §4.1.2.2. */
export const serialOctetsMax = 20;

// A bundle of every root a large mesh ever had at once; more is a mistake or an attack.
export const certificatesMax = 1000;
