/** A root, an issuing authority and three SVIDs for the hop: P-256, as the CA makes them. */

import { mkdirSync, writeFileSync } from 'node:fs';
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../../core/index.ts';
import {
  caTemplate,
  type Certificate,
  encodeName,
  generateKeyPair,
  issueCertificate,
  keyIdOf,
  keySigner,
  leafTemplate,
  parseCertificate,
  pemEncode,
  privateKeyToPkcs8Der,
  type Signer,
  spkiOf,
} from '../../pki/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../spiffe/index.ts';

export interface Identity {
  readonly id: SpiffeId;
  /** Leaf first, no root. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

export interface MeshIdentities {
  readonly root: Certificate;
  readonly client: Identity;
  readonly proxy: Identity;
  readonly backend: Identity;
}

export const benchTrustDomain = parseTrustDomain('mesh.test');

export async function makeIdentities(): Promise<MeshIdentities> {
  const rootKey = generateKeyPair('ec-p256');
  const root = await makeAuthority('root', rootKey.publicKey, keySigner(rootKey.privateKey));
  const issuingKey = generateKeyPair('ec-p256');
  const issuing = await makeAuthority(
    'issuing',
    issuingKey.publicKey,
    keySigner(rootKey.privateKey),
    root,
  );
  const issuer = keySigner(issuingKey.privateKey);
  return {
    root,
    client: await makeIdentity('client', issuing, issuer),
    proxy: await makeIdentity('proxy', issuing, issuer),
    backend: await makeIdentity('backend', issuing, issuer),
  };
}

/** Paths of PEM files, for programs that read their keys from a disk. */
export interface PemFiles {
  readonly chain: string;
  readonly key: string;
  readonly root: string;
}

/** Writes one identity below `directory`, readable to this user alone. */
export function writePemFiles(
  directory: string,
  name: string,
  identity: Identity,
  root: Certificate,
): PemFiles {
  const folder = join(directory, name);
  mkdirSync(folder, { mode: 0o700 });
  const put = (file: string, text: string): string => {
    const path = join(folder, file);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    chain: put('chain.pem', identity.chain.map(certificatePem).join('')),
    key: put('key.pem', pemEncode('PRIVATE KEY', privateKeyToPkcs8Der(identity.privateKey))),
    root: put('root.pem', certificatePem(root)),
  };
}

/** The name by which nginx and the load generator know a server: they do not read SPIFFE IDs. */
export function dnsNameOf(name: string): string {
  return `${name}.${benchTrustDomain}`;
}

async function makeAuthority(
  name: string,
  publicKey: KeyObject,
  signer: Signer,
  issuer?: Certificate,
): Promise<Certificate> {
  const signatureAlgorithm = signer.algorithm;
  const template = caTemplate(
    issuer === undefined
      ? { signatureAlgorithm, pathLength: 1, selfSigned: true }
      : {
          signatureAlgorithm,
          pathLength: 0,
          selfSigned: false,
          issuerName: issuer.subject,
          issuerKeyId: keyIdOf(signer.publicKey),
        },
  );
  const tbs = template.encode({
    ...validity(),
    spki: spkiOf(publicKey),
    uris: [`spiffe://${benchTrustDomain}`],
    subject: encodeName({ organization: benchTrustDomain, commonName: `bench ${name}` }),
  });
  return parseCertificate(await issueCertificate(tbs, signer));
}

async function makeIdentity(name: string, issuer: Certificate, signer: Signer): Promise<Identity> {
  const { privateKey, publicKey } = generateKeyPair('ec-p256');
  const id = parseSpiffeId(`spiffe://${benchTrustDomain}/${name}`);
  const tbs = leafTemplate({
    issuerName: issuer.subject,
    issuerKeyId: keyIdOf(signer.publicKey),
    signatureAlgorithm: signer.algorithm,
  }).encode({
    ...validity(),
    spki: spkiOf(publicKey),
    uris: [id],
    dnsNames: [dnsNameOf(name)],
  });
  const leaf = parseCertificate(await issueCertificate(tbs, signer));
  return { id, chain: [leaf, issuer], privateKey };
}

let serial = 0;
function validity(): { serial: Uint8Array; notBeforeMs: number; notAfterMs: number } {
  serial += 1;
  const nowMs = systemClock.wallMs();
  return { serial: Uint8Array.of(serial), notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + dayMs };
}

function certificatePem(certificate: Certificate): string {
  return pemEncode('CERTIFICATE', certificate.der);
}

const dayMs = 24 * 3600 * 1000;
