/** Makes an authority: a fresh key, and a certificate for it by itself (root) or by a root (issuing). */

import type { KeyObject } from 'node:crypto';
import { toHex } from '../../core/index.ts';
import {
  caTemplate,
  encodeName,
  generateKeyPair,
  issueCertificate,
  keyIdOf,
  keySigner,
  parseCertificate,
  type Signer,
  spkiOf,
} from '../../pki/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import type { Authority } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import type { Lifetimes } from './lifetimes.ts';

export interface MintedAuthority {
  readonly authority: Authority;
  readonly privateKey: KeyObject;
}

export interface MintOptions {
  readonly trustDomain: TrustDomain;
  readonly serial: Uint8Array;
  readonly nowMs: number;
  readonly lifetimes: Lifetimes;
}

/** A self-signed root, prepared. Issuing authorities are the only ones it may sign (pathLength 1). */
export async function mintRoot(options: MintOptions): Promise<MintedAuthority> {
  const { privateKey, publicKey } = generateKeyPair('ec-p256');
  return mint(options, {
    tier: 'root',
    privateKey,
    publicKey,
    signer: keySigner(privateKey),
    notAfterMs: options.nowMs + options.lifetimes.rootMs,
  });
}

/** An issuing authority, active. It may sign leaves only (pathLength 0) and ends with its root at the latest. */
export async function mintIssuing(
  options: MintOptions,
  root: Authority,
  rootSigner: Signer,
): Promise<MintedAuthority> {
  const { privateKey, publicKey } = generateKeyPair('ec-p256');
  return mint(options, {
    tier: 'issuing',
    privateKey,
    publicKey,
    signer: rootSigner,
    root,
    notAfterMs: Math.min(options.nowMs + options.lifetimes.issuingMs, root.certificate.notAfterMs),
  });
}

interface MintPlan {
  readonly tier: Authority['tier'];
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly signer: Signer;
  readonly root?: Authority;
  readonly notAfterMs: number;
}

async function mint(options: MintOptions, plan: MintPlan): Promise<MintedAuthority> {
  const { trustDomain, serial, nowMs, lifetimes } = options;
  const id = toHex(keyIdOf(plan.publicKey));
  // The id is in the name, so that no two authorities share one: verifiers look issuers up by name.
  const subject = encodeName({
    organization: trustDomain.slice(0, nameLengthMax),
    commonName: `Signet ${plan.tier} ${id.slice(0, 16)}`,
  });
  const signatureAlgorithm = plan.signer.algorithm;
  const template =
    plan.root === undefined
      ? caTemplate({ signatureAlgorithm, pathLength: 1, selfSigned: true })
      : caTemplate({
          signatureAlgorithm,
          pathLength: 0,
          selfSigned: false,
          issuerName: plan.root.certificate.subject,
          issuerKeyId: keyIdOf(plan.signer.publicKey),
        });
  const tbs = template.encode({
    serial,
    notBeforeMs: Math.max(nowMs - lifetimes.backdateMs, plan.root?.certificate.notBeforeMs ?? 0),
    notAfterMs: plan.notAfterMs,
    spki: spkiOf(plan.publicKey),
    // X509-SVID §4.1: a signing certificate's ID has no path.
    uris: [`spiffe://${trustDomain}`],
    subject,
  });
  const certificate = parseCertificate(await issueCertificate(tbs, plan.signer));
  const { subjectKeyId, basicConstraints } = certificate.extensions;
  if (subjectKeyId === undefined || toHex(subjectKeyId) !== id || basicConstraints?.ca !== true) {
    throw new AuthorityError('authority_certificate', `the certificate of ${id} is not as meant`);
  }
  const root = plan.root === undefined ? {} : { parentId: plan.root.id, activatedAtMs: nowMs };
  return {
    privateKey: plan.privateKey,
    authority: {
      id,
      tier: plan.tier,
      state: plan.root === undefined ? 'prepared' : 'active',
      certificate,
      preparedAtMs: nowMs,
      ...root,
    },
  };
}

// RFC 5280 Appendix A.1: ub-organization-name.
const nameLengthMax = 64;
