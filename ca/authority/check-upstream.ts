/** Whether an operator's chain and key can stand above our issuing authorities; the first reason why not. */

import { createPublicKey, type KeyObject } from 'node:crypto';
import {
  type Certificate,
  checkNameConstraints,
  formatName,
  isSignedBy,
  KeyError,
  keyKindOf,
  publicKeyOf,
} from '../../pki/index.ts';
import type { TrustDomain } from '../../spiffe/index.ts';
import { AuthorityError } from './authority-error.ts';
import { mintRoot } from './mint-authority.ts';
import { rootIdOf, type Upstream } from './upstream.ts';

export interface UpstreamRules {
  readonly trustDomain: TrustDomain;
  readonly nowMs: number;
}

/**
 * `where` names the origin in the error. Throws {@link AuthorityError} `upstream_invalid` with one line
 * that names the certificate and the reason.
 */
export async function checkUpstream(
  chain: readonly Certificate[],
  privateKey: KeyObject,
  where: string,
  rules: UpstreamRules,
): Promise<Upstream> {
  const reason =
    keyFault(chain, privateKey) ??
    orderFault(chain) ??
    chain
      .map((each, index) => authorityFault(each, index, rules))
      .find((fault) => fault !== undefined) ??
    (await nameFault(chain, rules));
  const root = chain.at(-1);
  if (reason === undefined && root !== undefined) {
    return { rootId: rootIdOf(root), chain, privateKey };
  }
  throw new AuthorityError('upstream_invalid', `upstream ${where}: ${reason ?? 'no certificate'}`);
}

function keyFault(chain: readonly Certificate[], privateKey: KeyObject): string | undefined {
  const publicKey = createPublicKey(privateKey);
  const place = chain.findIndex((each) => publicKeyOf(each).equals(publicKey));
  if (chain.length === 0) return 'there is no certificate';
  if (place === -1) return `the key does not match ${describe(chain, 0)}`;
  if (place > 0) return `the key belongs to ${describe(chain, place)}, which must come first`;
  try {
    keyKindOf(publicKey);
    return undefined;
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    return `the key cannot be used: ${error.message}`;
  }
}

function orderFault(chain: readonly Certificate[]): string | undefined {
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? certificate;
    if (isSignedBy(certificate, issuer) === undefined) continue;
    return issuer === certificate
      ? `the chain ends with ${describe(chain, index)}, which is no root; add the certificates above it`
      : `${describe(chain, index)} was not signed by ${describe(chain, index + 1)}, which follows it`;
  }
  return undefined;
}

/** SPIFFE X509-SVID §4 for signing certificates, RFC 5280 §4.2.1.9, and time. */
function authorityFault(
  certificate: Certificate,
  index: number,
  { trustDomain, nowMs }: UpstreamRules,
): string | undefined {
  const { basicConstraints, keyUsage, subjectAltName, unknownCritical } = certificate.extensions;
  const name = `certificate ${index + 1} (${formatName(certificate.subject)})`;
  if (basicConstraints?.ca !== true) return `${name} is no CA: basicConstraints must say cA=true`;
  if (keyUsage === undefined || !keyUsage.usages.has('keyCertSign')) {
    return `${name} may not sign certificates: keyUsage must have keyCertSign (X-5)`;
  }
  const { pathLength } = basicConstraints;
  // Below it stand those before it in the chain, and our issuing authority.
  const below = index + 1;
  if (pathLength !== undefined && pathLength < below) {
    return `${name} has path length ${pathLength}, but ${below} CA must fit below it`;
  }
  if (unknownCritical.length > 0) {
    return `${name} has a critical extension that is not understood: ${unknownCritical.join(', ')}`;
  }
  const [uri, ...more] = subjectAltName?.uris ?? [];
  if (more.length > 0) return `${name} has more than one URI name`;
  if (uri?.startsWith('spiffe://') === true && uri !== `spiffe://${trustDomain}`) {
    return `${name} is for ${uri}, not for spiffe://${trustDomain} (an authority's ID has no path)`;
  }
  if (certificate.notBeforeMs > nowMs) return `${name} begins at ${time(certificate.notBeforeMs)}`;
  if (certificate.notAfterMs < nowMs) return `${name} ended at ${time(certificate.notAfterMs)}`;
  return undefined;
}

/** RFC 5280 §4.2.1.10, tried on a throwaway authority with the names that ours will have. */
async function nameFault(
  chain: readonly Certificate[],
  { trustDomain, nowMs }: UpstreamRules,
): Promise<string | undefined> {
  const lifetimes = {
    rootMs: 60_000,
    issuingMs: 60_000,
    x509SvidMs: 60_000,
    nodeSvidMs: 60_000,
    backdateMs: 0,
  };
  const options = { trustDomain, serial: Uint8Array.of(1), nowMs, lifetimes };
  const sample = (await mintRoot(options)).authority.certificate;
  for (const [index, issuer] of chain.entries()) {
    const refusal = checkNameConstraints([sample], issuer);
    if (refusal !== undefined) {
      return `the name constraints of ${describe(chain, index)} forbid this trust domain: ${refusal.detail}`;
    }
  }
  return undefined;
}

function describe(chain: readonly Certificate[], index: number): string {
  const certificate = chain[index];
  const name = certificate === undefined ? '' : ` (${formatName(certificate.subject)})`;
  return `certificate ${index + 1}${name}`;
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
