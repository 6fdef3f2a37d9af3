/**
 * Certificates with any content, right or wrong, for tests of what must be refused. Each field has a
 * plain default, and the same call with the default is the accepted twin.
 */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import {
  type Certificate,
  encodeBitString,
  encodeBoolean,
  encodeExplicit,
  encodeInteger,
  encodeName,
  encodeNull,
  encodeObjectIdentifier,
  encodeOctetString,
  encodeSequence,
  encodeTime,
  keyIdOf,
  parseCertificate,
  spkiOf,
} from '../../pki/index.ts';

export interface BuildOptions {
  /** The name of the certificate, and how others refer to it. */
  readonly name: string;
  /** Whose key signs; absent means the certificate's own. */
  readonly issuer?: Built;
  readonly keys?: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** DER Name; absent means made from `name`. */
  readonly subject?: Uint8Array;
  /** DER Name; absent means the issuer's. */
  readonly issuerName?: Uint8Array;
  readonly serial?: Uint8Array;
  /** The content of `[0]`; absent means 2, which is version 3. */
  readonly version?: Uint8Array;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly spki?: Uint8Array;
  /** Whole Extension elements, see {@link extension}. Absent means none at all. */
  readonly extensions?: readonly Uint8Array[];
  readonly outerAlgorithm?: Uint8Array;
  readonly signature?: Uint8Array;
}

export interface Built {
  readonly der: Uint8Array;
  readonly subject: Uint8Array;
  readonly keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  readonly keyId: Uint8Array;
  /** Parsed on first use, because not every test wants it to parse. */
  readonly certificate: Certificate;
}

export function buildCertificate(options: BuildOptions): Built {
  const keys = options.keys ?? generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = options.subject ?? encodeName({ commonName: options.name });
  const algorithm = algorithmFor(options.issuer?.keys.privateKey ?? keys.privateKey);
  const tbs = encodeSequence(
    encodeExplicit(0, options.version ?? encodeInteger(2)),
    options.serial ?? encodeInteger(4711),
    algorithm,
    options.issuerName ?? options.issuer?.subject ?? subject,
    encodeSequence(
      encodeTime(options.notBeforeMs ?? buildNowMs - 60_000),
      encodeTime(options.notAfterMs ?? buildNowMs + 3_600_000),
    ),
    subject,
    options.spki ?? spkiOf(keys.publicKey),
    ...(options.extensions === undefined
      ? []
      : [encodeExplicit(3, encodeSequence(...options.extensions))]),
  );
  const signature =
    options.signature ?? signed(tbs, options.issuer?.keys.privateKey ?? keys.privateKey);
  const der = encodeSequence(tbs, options.outerAlgorithm ?? algorithm, encodeBitString(signature));
  let certificate: Certificate | undefined;
  return {
    der,
    subject,
    keys,
    keyId: keyIdOf(keys.publicKey),
    get certificate() {
      certificate ??= parseCertificate(der);
      return certificate;
    },
  };
}

/** One Extension element around already encoded content. */
export function extension(
  oid: string,
  critical: boolean,
  ...value: readonly Uint8Array[]
): Uint8Array {
  return encodeSequence(
    encodeObjectIdentifier(oid),
    ...(critical ? [encodeBoolean(true)] : []),
    encodeOctetString(...value),
  );
}

/** The moment every built certificate is valid at unless a test says otherwise. */
export const buildNowMs = Date.UTC(2026, 10, 22, 12);

function algorithmFor({ asymmetricKeyType }: KeyObject): Uint8Array {
  if (asymmetricKeyType === 'ed25519') {
    return encodeSequence(encodeObjectIdentifier('1.3.101.112'));
  }
  return asymmetricKeyType === 'rsa'
    ? encodeSequence(encodeObjectIdentifier('1.2.840.113549.1.1.11'), encodeNull())
    : encodeSequence(encodeObjectIdentifier('1.2.840.10045.4.3.2'));
}

function signed(bytes: Uint8Array, privateKey: KeyObject): Uint8Array {
  return sign(privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256', bytes, privateKey);
}
