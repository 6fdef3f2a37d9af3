/** PKCS#10 requests: only the public key counts, and only after proof of possession (RFC 2986). */

import type { KeyObject } from 'node:crypto';
import { CodedError } from '../core/index.ts';
import { checkDer } from './der/check.ts';
import { DerError } from './der/der-error.ts';
import { encodeBitString, encodeElement, encodeInteger, encodeSequence } from './der/encode.ts';
import { type DerReader, readDer } from './der/reader.ts';
import { tag } from './der/tag.ts';
import { publicKeyFromSpki, spkiOf } from './key.ts';
import { KeyError } from './key-error.ts';
import { encodeName } from './name.ts';
import {
  algorithmIdentifier,
  algorithmOf,
  type SignatureAlgorithm,
  verifySignature,
} from './signature-algorithm.ts';
import type { Signatures } from './signatures.ts';
import type { Signer } from './signer.ts';
import { type KeyKind, keyKindOfSpki } from './subject-public-key.ts';

export type CsrErrorCode =
  | 'csr_malformed'
  | 'csr_size'
  | 'csr_version'
  | 'csr_key'
  | 'csr_algorithm'
  | 'csr_signature';

export class CsrError extends CodedError<CsrErrorCode> {
  override readonly name = 'CsrError';
  override readonly kind = 'invalid_argument';
}

/**
 * A request whose sender has proved to hold the private key. The subject is what was asked for; like
 * the requested attributes, which are not even kept, it never reaches a certificate.
 */
export interface CertificateRequest {
  readonly der: Uint8Array;
  readonly spki: Uint8Array;
  readonly publicKey: KeyObject;
  readonly keyKind: KeyKind;
  readonly subject: Uint8Array;
}

/** Throws {@link CsrError}: malformed bytes, a key we do not certify, or a signature that does not hold. */
export function parseCertificateRequest(der: Uint8Array): CertificateRequest {
  const { request, algorithm, info, signature } = openRequest(der);
  if (!verifySignature(algorithm, request.publicKey, info, signature)) throw notSigned();
  return request;
}

/** The same, with the proof of possession judged by `signatures`, which may be another thread. */
export async function verifyCertificateRequest(
  der: Uint8Array,
  signatures: Pick<Signatures, 'verify'>,
): Promise<CertificateRequest> {
  const { request, algorithm, info, signature } = openRequest(der);
  if (await signatures.verify(algorithm, request.publicKey, info, signature)) return request;
  throw notSigned();
}

/** A request that is well formed, and whose proof nobody has judged yet: it must not leave this file. */
function openRequest(der: Uint8Array) {
  if (der.length > requestBytesMax) {
    throw new CsrError('csr_size', `${der.length} bytes, at most ${requestBytesMax} are read`);
  }
  const own = new Uint8Array(der);
  const { info, algorithm, signature, subject, spki } = readRequest(own);
  const request: CertificateRequest = { der: own, spki, ...importKey(spki), subject };
  return { request, algorithm, info, signature };
}

function notSigned(): CsrError {
  return new CsrError('csr_signature', 'the request is not signed by the key it asks to certify');
}

/** A request with an empty subject and no attributes: the registry decides the names, not the sender. */
export async function createCertificateRequest(signer: Signer): Promise<Uint8Array> {
  const info = encodeSequence(
    encodeInteger(0),
    encodeName({}),
    spkiOf(signer.publicKey),
    // RFC 2986 §4.1: attributes are not optional, so the empty set is written.
    encodeElement(attributesTag),
  );
  const signature = await signer.sign(info);
  return encodeSequence(info, algorithmIdentifier(signer.algorithm), encodeBitString(signature));
}

interface RequestFields {
  readonly info: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
}

function readRequest(der: Uint8Array): RequestFields {
  try {
    checkDer(der);
    return readDer(der, (reader) =>
      reader.sequence((fields) => {
        const info = fields.whole(tag.sequence);
        const algorithm = algorithmOf(fields.whole(tag.sequence));
        if (algorithm === undefined) {
          throw new CsrError(
            'csr_algorithm',
            'the signature algorithm of the request is not supported',
          );
        }
        const signature = fields.octetAlignedBitString();
        return { info, algorithm, signature, ...readDer(info, (body) => body.sequence(readInfo)) };
      }),
    );
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause;
    throw new CsrError('csr_malformed', `not a certificate request: ${cause.message}`, { cause });
  }
}

function readInfo(reader: DerReader): { subject: Uint8Array; spki: Uint8Array } {
  const version = reader.smallInteger();
  if (version !== 0) throw new CsrError('csr_version', `version ${version + 1}, only 1 exists`);
  const subject = reader.whole(tag.sequence);
  const spki = reader.whole(tag.sequence);
  // Requested extensions are ignored on purpose: names in a certificate come from the registry.
  reader.content(attributesTag);
  return { subject, spki };
}

function importKey(spki: Uint8Array): { publicKey: KeyObject; keyKind: KeyKind } {
  try {
    const keyKind = keyKindOfSpki(spki);
    return { publicKey: publicKeyFromSpki(spki), keyKind };
  } catch (cause) {
    if (!(cause instanceof KeyError) && !(cause instanceof DerError)) throw cause;
    const remedy = cause.remedy === undefined ? {} : { remedy: cause.remedy };
    throw new CsrError('csr_key', `the requested key is refused: ${cause.message}`, {
      cause,
      ...remedy,
    });
  }
}

// [0] IMPLICIT SET OF Attribute.
const attributesTag = 0xa0;

// An RSA-4096 request with many requested names has about 3 KiB.
const requestBytesMax = 16 * 1024;
