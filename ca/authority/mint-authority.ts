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
  type Certificate,
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

/** Who signs an issuing authority: the certificate of the key first, its root last. */
export interface IssuingParent {
  readonly root: Authority;
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

/** An issuing authority, active. It may sign leaves only (pathLength 0) and ends with its root at the latest. */
export async function mintIssuing(
  options: MintOptions,
  parent: IssuingParent,
): Promise<MintedAuthority> {
  const { privateKey, publicKey } = generateKeyPair('ec-p256');
  return mint(options, {
    tier: 'issuing',
    privateKey,
    publicKey,
    signer: keySigner(parent.privateKey),
    parent,
    notAfterMs: Math.min(
      options.nowMs + options.lifetimes.issuingMs,
      ...parent.chain.map(({ notAfterMs }) => notAfterMs),
    ),
  });
}

interface MintPlan {
  readonly tier: Authority['tier'];
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly signer: Signer;
  readonly parent?: IssuingParent;
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
  const issuer = plan.parent?.chain[0];
  const signatureAlgorithm = plan.signer.algorithm;
  const template =
    issuer === undefined
      ? caTemplate({ signatureAlgorithm, pathLength: 1, selfSigned: true })
      : caTemplate({
          signatureAlgorithm,
          pathLength: 0,
          selfSigned: false,
          issuerName: issuer.subject,
          // RFC 5280 §4.2.1.1: what the issuer's certificate calls its key, however an upstream made that.
          issuerKeyId: issuer.extensions.subjectKeyId ?? keyIdOf(plan.signer.publicKey),
        });
  const tbs = template.encode({
    serial,
    notBeforeMs: Math.max(nowMs - lifetimes.backdateMs, issuer?.notBeforeMs ?? 0),
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
  const above = plan.parent?.chain.slice(0, -1) ?? [];
  const below =
    plan.parent === undefined
      ? {}
      : {
          parentId: plan.parent.root.id,
          activatedAtMs: nowMs,
          ...(above.length === 0 ? {} : { above }),
        };
  return {
    privateKey: plan.privateKey,
    authority: {
      id,
      tier: plan.tier,
      state: plan.parent === undefined ? 'prepared' : 'active',
      certificate,
      preparedAtMs: nowMs,
      ...below,
    },
  };
}

// RFC 5280 Appendix A.1: ub-organization-name.
const nameLengthMax = 64;
