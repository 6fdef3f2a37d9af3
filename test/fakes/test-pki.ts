/**
 * A two-tier mesh authority for tests, with real keys and real certificates: a root (the anchor), an
 * issuing authority, and as many leaves as a test asks for.
 */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { concatBytes, type Random, seededRandom, toHex } from '../../core/index.ts';
import {
  caTemplate,
  type Certificate,
  encodeName,
  generateKeyPair,
  issueCertificate,
  keyIdOf,
  type KeyKind,
  keySigner,
  leafTemplate,
  parseCertificate,
  pemEncode,
  privateKeyToPkcs8Der,
  type Signer,
  spkiOf,
} from '../../pki/index.ts';
import {
  type Bundle,
  type BundleSet,
  bundleSetOf,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  spiffeIdOf,
  type TrustDomain,
} from '../../spiffe/index.ts';

export interface TestPkiOptions {
  /** Default `mesh.test`. */
  readonly trustDomain?: string;
  /** Certificates begin 30 s before it. */
  readonly nowMs: number;
  readonly keyKind?: KeyKind;
  readonly rootLifetimeSeconds?: number;
  readonly issuingLifetimeSeconds?: number;
}

export interface TestAuthority {
  readonly certificate: Certificate;
  readonly der: Uint8Array;
  readonly pem: string;
  readonly privateKey: KeyObject;
  readonly signer: Signer;
}

export interface TestLeafOptions {
  /** A whole SPIFFE ID, or a path in the PKI's own trust domain. */
  readonly id: string;
  readonly dnsNames?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** From `nowMs` on, unless `notAfterMs` is given. Default one hour. */
  readonly lifetimeSeconds?: number;
  readonly keyKind?: KeyKind;
  /** Certify this key instead of a new one; then `privateKey` and `keyPem` are of no use. */
  readonly publicKey?: KeyObject;
}

export interface TestLeaf {
  readonly id: SpiffeId;
  readonly certificate: Certificate;
  readonly der: Uint8Array;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Leaf and issuing authority, as a TLS peer presents them. */
  readonly chain: readonly Certificate[];
  readonly chainDer: readonly Uint8Array[];
  /** One after the other, as the Workload API has them. */
  readonly concatenatedDer: Uint8Array;
  readonly chainPem: string;
  readonly keyPem: string;
  readonly keyPkcs8: Uint8Array;
}

export interface TestPki {
  readonly trustDomain: TrustDomain;
  readonly nowMs: number;
  readonly root: TestAuthority;
  readonly issuing: TestAuthority;
  readonly bundle: Bundle;
  /** The set of this one bundle. */
  readonly bundles: BundleSet;
  /** The anchors as PEM, for a TLS context's `ca`. */
  readonly anchorsPem: string;
  readonly issueLeaf: (options: TestLeafOptions) => Promise<TestLeaf>;
}

export async function makeTestPki(options: TestPkiOptions): Promise<TestPki> {
  const trustDomain = parseTrustDomain(options.trustDomain ?? 'mesh.test');
  const { nowMs, keyKind = 'ec-p256' } = options;
  const random = seededRandom(nowMs);
  const common = { trustDomain, nowMs, keyKind, random };
  const root = await makeAuthority({
    ...common,
    lifetimeSeconds: options.rootLifetimeSeconds ?? daySeconds * 365,
  });
  const issuing = await makeAuthority({
    ...common,
    lifetimeSeconds: options.issuingLifetimeSeconds ?? daySeconds,
    issuer: root,
  });
  const bundle: Bundle = {
    trustDomain,
    sequence: 1n,
    x509Authorities: [root.certificate],
    jwtAuthorities: [],
  };
  return {
    trustDomain,
    nowMs,
    root,
    issuing,
    bundle,
    bundles: bundleSetOf([bundle]),
    anchorsPem: root.pem,
    issueLeaf: (leaf) => issueLeaf(leaf, issuing, common),
  };
}

interface Common {
  readonly trustDomain: TrustDomain;
  readonly nowMs: number;
  readonly keyKind: KeyKind;
  readonly random: Random;
}

async function makeAuthority(
  p: Common & { readonly lifetimeSeconds: number; readonly issuer?: TestAuthority },
): Promise<TestAuthority> {
  const { privateKey, publicKey } = generateKeyPair(p.keyKind);
  const signer = keySigner(privateKey);
  const issuerSigner = p.issuer?.signer ?? signer;
  const template = caTemplate({
    signatureAlgorithm: issuerSigner.algorithm,
    ...(p.issuer === undefined
      ? { selfSigned: true }
      : {
          selfSigned: false,
          pathLength: 0,
          issuerName: p.issuer.certificate.subject,
          issuerKeyId: keyIdOf(p.issuer.signer.publicKey),
        }),
  });
  const tbs = template.encode({
    serial: serialFrom(p.random),
    notBeforeMs: p.nowMs - backdateMs,
    notAfterMs: p.nowMs + p.lifetimeSeconds * 1000,
    spki: spkiOf(publicKey),
    uris: [spiffeIdOf(p.trustDomain, '')],
    subject: encodeName({ organization: 'Test', serialNumber: toHex(keyIdOf(publicKey)) }),
  });
  const der = await issueCertificate(tbs, issuerSigner);
  const pem = pemEncode('CERTIFICATE', der);
  return { certificate: parseCertificate(der), der, pem, privateKey, signer };
}

async function issueLeaf(
  options: TestLeafOptions,
  issuing: TestAuthority,
  common: Common,
): Promise<TestLeaf> {
  const { nowMs } = common;
  const id = options.id.startsWith('/')
    ? spiffeIdOf(common.trustDomain, options.id)
    : parseSpiffeId(options.id);
  const { privateKey } = generateKeyPair(options.keyKind ?? common.keyKind);
  const publicKey = options.publicKey ?? createPublicKey(privateKey);
  const template = leafTemplate({
    signatureAlgorithm: issuing.signer.algorithm,
    issuerName: issuing.certificate.subject,
    issuerKeyId: keyIdOf(issuing.signer.publicKey),
  });
  const tbs = template.encode({
    serial: serialFrom(common.random),
    notBeforeMs: options.notBeforeMs ?? nowMs - backdateMs,
    notAfterMs: options.notAfterMs ?? nowMs + (options.lifetimeSeconds ?? 3600) * 1000,
    spki: spkiOf(publicKey),
    uris: [id],
    ...(options.dnsNames === undefined ? {} : { dnsNames: options.dnsNames }),
  });
  const der = await issueCertificate(tbs, issuing.signer);
  const certificate = parseCertificate(der);
  const keyPkcs8 = privateKeyToPkcs8Der(privateKey);
  return {
    id,
    certificate,
    der,
    privateKey,
    publicKey,
    chain: [certificate, issuing.certificate],
    chainDer: [der, issuing.der],
    concatenatedDer: concatBytes(der, issuing.der),
    chainPem: pemEncode('CERTIFICATE', der) + issuing.pem,
    keyPem: pemEncode('PRIVATE KEY', keyPkcs8),
    keyPkcs8,
  };
}

function serialFrom(random: Random): Uint8Array {
  // A set low bit: the serial is never zero.
  const serial = random.bytes(16);
  serial[15] = (serial[15] ?? 0) | 1;
  return serial;
}

const backdateMs = 30_000;
const daySeconds = 86_400;
