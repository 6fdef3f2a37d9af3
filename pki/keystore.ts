/**
 * PKCS#12 (RFC 7292) for programs that read nothing else: a key with its chain, and roots as trusted certificates.
 *
 * The key is sealed by PBES2 (RFC 8018) and the file by a MAC (RFC 7292 appendix B) here and not by a library,
 * which would hold both as strings that nobody can overwrite, and would stand in the memory of every agent.
 */

import { Buffer } from 'node:buffer';
import {
  createCipheriv,
  createHash,
  createHmac,
  hash,
  type KeyObject,
  pbkdf2Sync,
} from 'node:crypto';
import { CodedError, type Random, utf8Bytes } from '../core/index.ts';
import type { Certificate } from './certificate.ts';
import {
  encodeElement,
  encodeExplicit,
  encodeInteger,
  encodeNull,
  encodeObjectIdentifier,
  encodeOctetString,
  encodeSequence,
  encodeSet,
} from './der/encode.ts';
import { privateKeyToPkcs8Der } from './key.ts';

export type KeystoreErrorCode = 'keystore_password' | 'keystore_content';

export class KeystoreError extends CodedError<KeystoreErrorCode> {
  override readonly name = 'KeystoreError';
  override readonly kind = 'invalid_argument';
}

export interface KeystoreContent {
  /** What programs call the key; Java's alias. */
  readonly name: string;
  readonly privateKey: KeyObject;
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  /** Roots to trust; Java reads them as trusted entries. */
  readonly trusted: readonly Certificate[];
}

/** The bytes of a `.p12` file. Throws {@link KeystoreError}; its message never holds the password. */
export function encodePkcs12(
  content: KeystoreContent,
  password: string,
  random: Random,
): Uint8Array {
  checkPassword(password);
  const [leaf, ...issuers] = content.chain;
  if (leaf === undefined) throw new KeystoreError('keystore_content', 'there is no certificate');
  // One attribute ties the key to its certificate, whatever the order of the bags.
  const keyId = attribute(oids.localKeyId, encodeOctetString(Uint8Array.of(1)));
  const name = friendlyName(content.name);
  const keyBag = bag(oids.shroudedKeyBag, sealKey(content.privateKey, password, random), [
    name,
    keyId,
  ]);
  const certificateBags = [
    certificateBag(leaf, [name, keyId]),
    ...issuers.map((issuer) => certificateBag(issuer, [])),
    ...content.trusted.map((root, at) =>
      certificateBag(root, [
        friendlyName(`${content.name}-root-${at + 1}`),
        attribute(oids.trustedKeyUsage, encodeObjectIdentifier(oids.anyExtendedKeyUsage)),
      ]),
    ),
  ];
  // Certificates are public; only the key is sealed, and the MAC covers everything.
  const safe = encodeSequence(
    dataInfo(encodeSequence(...certificateBags)),
    dataInfo(encodeSequence(keyBag)),
  );
  return encodeSequence(encodeInteger(3), dataInfo(safe), macOf(safe, password, random));
}

/** PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC: what OpenSSL 3 and Java 8u301 and later read. */
function sealKey(privateKey: KeyObject, password: string, random: Random): Uint8Array {
  const salt = random.bytes(saltBytes);
  const iv = random.bytes(16);
  const key = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const plain = privateKeyToPkcs8Der(privateKey);
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  plain.fill(0);
  key.fill(0);
  const derivation = encodeSequence(
    encodeObjectIdentifier(oids.pbkdf2),
    encodeSequence(
      encodeOctetString(salt),
      encodeInteger(iterations),
      encodeSequence(encodeObjectIdentifier(oids.hmacSha256), encodeNull()),
    ),
  );
  const encryption = encodeSequence(encodeObjectIdentifier(oids.aes256Cbc), encodeOctetString(iv));
  const algorithm = encodeSequence(
    encodeObjectIdentifier(oids.pbes2),
    encodeSequence(derivation, encryption),
  );
  return encodeSequence(algorithm, encodeOctetString(sealed));
}

function macOf(safe: Uint8Array, password: string, random: Random): Uint8Array {
  const salt = random.bytes(saltBytes);
  const key = macKeyOf(password, salt);
  const mac = createHmac('sha256', key).update(safe).digest();
  key.fill(0);
  const algorithm = encodeSequence(encodeObjectIdentifier(oids.sha256), encodeNull());
  return encodeSequence(
    encodeSequence(algorithm, encodeOctetString(mac)),
    encodeOctetString(salt),
    encodeInteger(iterations),
  );
}

/**
 * RFC 7292 appendix B.2, of which one block of SHA-256 is just the key that a MAC takes (steps 6b and 6c make
 * further blocks). The password is a BMPString with its terminator (B.1).
 */
function macKeyOf(password: string, salt: Uint8Array): Buffer {
  const words = Buffer.from(`${password}\0`, 'utf16le').swap16();
  const repeated = (bytes: Uint8Array): Buffer =>
    Buffer.alloc(Math.ceil(bytes.length / hashBlockBytes) * hashBlockBytes, bytes);
  const secret = repeated(words);
  let key = createHash('sha256')
    .update(Buffer.alloc(hashBlockBytes, macKeyPurpose))
    .update(repeated(salt))
    .update(secret)
    .digest();
  words.fill(0);
  secret.fill(0);
  for (let round = 1; round < iterations; round += 1) key = hash('sha256', key, 'buffer');
  return key;
}

function certificateBag({ der }: Certificate, attributes: readonly Uint8Array[]): Uint8Array {
  const value = encodeSequence(
    encodeObjectIdentifier(oids.x509Certificate),
    encodeExplicit(0, encodeOctetString(der)),
  );
  return bag(oids.certBag, value, attributes);
}

function bag(oid: string, value: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  return encodeSequence(
    encodeObjectIdentifier(oid),
    encodeExplicit(0, value),
    ...(attributes.length === 0 ? [] : [encodeSet(...attributes)]),
  );
}

function dataInfo(content: Uint8Array): Uint8Array {
  return encodeSequence(
    encodeObjectIdentifier(oids.data),
    encodeExplicit(0, encodeOctetString(content)),
  );
}

function attribute(oid: string, value: Uint8Array): Uint8Array {
  return encodeSequence(encodeObjectIdentifier(oid), encodeSet(value));
}

/** A BMPString: two bytes a character, the high one first. */
function friendlyName(name: string): Uint8Array {
  const text = Buffer.from(name, 'utf16le').swap16();
  return attribute(oids.friendlyName, encodeElement(bmpString, new Uint8Array(text)));
}

/** The two derivations read a password in two encodings; in ASCII both say the same to every reader. */
function checkPassword(password: string): void {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    throw new KeystoreError('keystore_password', 'the password is empty or has other than ASCII', {
      remedy: 'choose one of printable ASCII characters',
    });
  }
  const { length } = utf8Bytes(password);
  if (length >= passwordLengthMin && length <= passwordLengthMax) return;
  throw new KeystoreError(
    'keystore_password',
    `the password has ${length} characters, ${passwordLengthMin} to ${passwordLengthMax} are taken`,
    // Java's keytool cannot work on a file with a shorter one.
    { remedy: 'choose another' },
  );
}

const oids = {
  data: '1.2.840.113549.1.7.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  // Java's mark of a certificate that is trusted by itself, and for what.
  trustedKeyUsage: '2.16.840.1.113894.746875.1.1',
  anyExtendedKeyUsage: '2.5.29.37.0',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;
const bmpString = 0x1e;
const hashBlockBytes = 64;
const macKeyPurpose = 3;
const saltBytes = 16;
// Some ten milliseconds for whoever has the password; Java refuses files of more than five million.
const iterations = 10_000;
const passwordLengthMin = 6;
const passwordLengthMax = 512;
