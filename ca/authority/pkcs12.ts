/**
 * Reads a PKCS#12 file (RFC 7292), the operator's own, with its password. The library opens the safes; keys
 * and certificates come out as DER and are judged by what judges all others, so that elliptic curves work too.
 */

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import forge from 'node-forge';
import { type Certificate, parseCertificate, publicKeyOf } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';

export interface Pkcs12Content {
  /** From the key's own certificate upwards, as far as the file goes. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

/** Throws {@link AuthorityError} `upstream_invalid`. */
export async function readPkcs12(
  file: Uint8Array,
  password: string,
  where: string,
): Promise<Pkcs12Content> {
  if (file.length > fileLengthMax) {
    throw invalid(where, `${file.length} bytes, at most ${fileLengthMax} are read`);
  }
  const bags = openBags(file, password, where);
  const keys = [
    ...bagsOf(bags, forge.pki.oids['pkcs8ShroudedKeyBag']),
    ...bagsOf(bags, forge.pki.oids['keyBag']),
  ];
  const [keyBag] = keys;
  if (keyBag === undefined || keys.length > 1) {
    throw invalid(where, `it holds ${keys.length} private keys, one is needed`);
  }
  const certificates = readCertificates(bagsOf(bags, forge.pki.oids['certBag']), where);
  const privateKey = readKey(keyBag, where);
  return { chain: ordered(certificates, privateKey), privateKey };
}

function openBags(file: Uint8Array, password: string, where: string): forge.pkcs12.Pkcs12Pfx {
  let asn1: forge.asn1.Asn1;
  try {
    asn1 = forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(file).toString('binary')));
  } catch {
    throw invalid(where, 'it is no PKCS#12 file');
  }
  try {
    return forge.pkcs12.pkcs12FromAsn1(asn1, false, password);
  } catch (error) {
    const text = error instanceof Error ? error.message : '';
    if (/password|MAC/i.test(text)) throw invalid(where, 'the password is wrong');
    throw invalid(where, `it cannot be opened: ${text.slice(0, reasonLengthMax)}`);
  }
}

function bagsOf(p12: forge.pkcs12.Pkcs12Pfx, bagType: string | undefined): forge.pkcs12.Bag[] {
  if (bagType === undefined) return [];
  return p12.getBags({ bagType })[bagType] ?? [];
}

function readKey(bag: forge.pkcs12.Bag, where: string): KeyObject {
  // An RSA key comes parsed; any other as the decrypted PKCS#8 structure.
  const asn1 =
    bag.key === undefined || bag.key === null
      ? bag.asn1
      : forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(bag.key));
  const der = derOf(asn1);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch {
    throw invalid(where, 'its private key is of a kind that is not understood');
  } finally {
    der.fill(0);
  }
}

function readCertificates(bags: readonly forge.pkcs12.Bag[], where: string): Certificate[] {
  return bags.map((bag) => {
    const asn1 =
      bag.cert === undefined || bag.cert === null
        ? bag.asn1
        : forge.pki.certificateToAsn1(bag.cert);
    try {
      return parseCertificate(derOf(asn1));
    } catch (error) {
      throw invalid(
        where,
        `a certificate in it cannot be read: ${error instanceof Error ? error.message : ''}`,
      );
    }
  });
}

/** A PKCS#12 file has no order of its own: from the key's certificate, each time to the issuer of the last. */
function ordered(certificates: readonly Certificate[], privateKey: KeyObject): Certificate[] {
  const publicKey = createPublicKey(privateKey);
  const left = new Set(certificates);
  const chain: Certificate[] = [];
  let next = certificates.find((each) => publicKeyOf(each).equals(publicKey));
  while (next !== undefined) {
    chain.push(next);
    left.delete(next);
    const { issuer } = next;
    next = [...left].find((each) => Buffer.compare(each.subject, issuer) === 0);
  }
  // With no certificate for the key the judge says so of whatever is there.
  return chain.length === 0 ? [...certificates] : chain;
}

function derOf(asn1: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'binary');
}

function invalid(where: string, reason: string): AuthorityError {
  return new AuthorityError('upstream_invalid', `upstream ${where}: ${reason}`);
}

// A chain and a key; far above any, and far below what would take long to decrypt.
const fileLengthMax = 1024 * 1024;
const reasonLengthMax = 200;
