/** Textual encoding of keys and certificates (RFC 7468, strict form). */

import { CodedError, fromBase64, toBase64 } from '../core/index.ts';
import { type Certificate, certificatesMax, parseCertificate } from './certificate.ts';
import { type Crl, parseCrl } from './crl.ts';

export type PemLabel = 'CERTIFICATE' | 'PRIVATE KEY' | 'CERTIFICATE REQUEST' | 'X509 CRL';

export type PemErrorCode = 'pem_malformed' | 'pem_label' | 'pem_size';

/** The message never holds a part of the text, which may be a key. */
export class PemError extends CodedError<PemErrorCode> {
  override readonly name = 'PemError';
  override readonly kind = 'invalid_argument';
}

export interface PemBlock {
  readonly label: string;
  readonly der: Uint8Array;
}

export function pemEncode(label: PemLabel, der: Uint8Array): string {
  // RFC 7468 §2: lines of exactly 64 characters but for the last.
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** The blocks of `text` in order. Text outside the blocks is explanation and is skipped (RFC 7468 §2). */
export function parsePem(text: string): PemBlock[] {
  if (text.length > textLengthMax) {
    throw new PemError('pem_size', `${text.length} characters, at most ${textLengthMax} are read`);
  }
  const blocks: PemBlock[] = [];
  let label: string | undefined;
  let body: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd();
    const boundary = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----$/.exec(line);
    if (boundary === null) {
      if (label !== undefined) body.push(line);
    } else if (boundary[1] === 'BEGIN' && label === undefined) {
      label = boundary[2];
      body = [];
    } else if (boundary[1] === 'END' && label !== undefined && boundary[2] === label) {
      blocks.push({ label, der: decodeBody(body, index + 1) });
      label = undefined;
    } else {
      throw new PemError('pem_malformed', `line ${index + 1}: BEGIN and END do not pair`);
    }
  }
  if (label !== undefined) throw new PemError('pem_malformed', `${label} has no END line`);
  return blocks;
}

/** Every certificate in `text`. Throws if a block is something else or there is none. */
export function parsePemCertificates(text: string): Certificate[] {
  return certificatesOf(parsePem(text));
}

/**
 * Certificates with revocation lists among them, as a trust bundle of Envoy's SPIFFE validator may be. Throws if
 * a block is something else or no certificate is among them.
 */
export function parsePemTrust(text: string): {
  readonly certificates: Certificate[];
  readonly crls: Crl[];
} {
  const blocks = parsePem(text);
  return {
    certificates: certificatesOf(blocks.filter(({ label }) => label !== 'X509 CRL')),
    crls: blocks.filter(({ label }) => label === 'X509 CRL').map(({ der }) => parseCrl(der)),
  };
}

function certificatesOf(blocks: readonly PemBlock[]): Certificate[] {
  if (blocks.length === 0) throw new PemError('pem_malformed', 'there is no PEM block');
  if (blocks.length > certificatesMax) {
    throw new PemError(
      'pem_size',
      `${blocks.length} certificates, at most ${certificatesMax} are read`,
    );
  }
  return blocks.map(({ label, der }) => {
    if (label !== 'CERTIFICATE') {
      throw new PemError('pem_label', `expected CERTIFICATE, found ${label}`);
    }
    return parseCertificate(der);
  });
}

/** Every revocation list in `text`. Throws if a block is something else; an empty text holds none. */
export function parsePemCrls(text: string): Crl[] {
  return parsePem(text).map(({ label, der }) => {
    if (label !== 'X509 CRL') throw new PemError('pem_label', `expected X509 CRL, found ${label}`);
    return parseCrl(der);
  });
}

function decodeBody(lines: readonly string[], endLine: number): Uint8Array {
  const der = fromBase64(lines.join(''));
  if (der === undefined || der.length === 0) {
    throw new PemError('pem_malformed', `the block that ends at line ${endLine} is not base64`);
  }
  return der;
}

// The largest bundle accepted, 1000 certificates of 2 KiB, takes 2.7 MB.
const textLengthMax = 4 * 1024 * 1024;
