/** Certification path building and validation (RFC 5280 §6), with time as an argument. */

import { equalBytes } from '../../core/index.ts';
import type { Certificate } from '../certificate.ts';
import type { TlsPurpose } from '../extensions/extended-key-usage.ts';
import { checkNameConstraints } from './check-names.ts';
import { checkAuthority, checkCertificate, checkPathLengths } from './check-certificate.ts';
import { describeCertificate, type PathRefusal, refused } from './path-refusal.ts';
import { isSignedBy } from './signed-by.ts';
import type { VerifiedPairs } from './verified-pairs.ts';

export interface VerifyPathOptions {
  /** Leaf first. The rest may come in any order and may hold certificates that are not needed. */
  readonly chain: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  readonly atMs: number;
  /** Without it, extended key usage is not looked at. */
  readonly purpose?: TlsPurpose;
  /** Remembers signatures that held, so that a repeated issuer costs no second verification. */
  readonly verifiedPairs?: VerifiedPairs;
}

export type PathVerdict =
  | { readonly kind: 'valid' /** Leaf to anchor. */; readonly path: readonly Certificate[] }
  | PathRefusal;

/**
 * Finds a path from the leaf to one of `anchors` on which every rule holds, or says why the nearest one
 * failed. An anchor is checked like every other authority but for its signature: an expired anchor, or one
 * that is no CA, ends no path. The leaf itself never counts as an anchor.
 *
 * @example
 * const verdict = verifyPath({ chain, anchors, atMs: clock.wallMs(), purpose: 'clientAuth' });
 * if (verdict.kind === 'refused') log.warn('peer refused', { code: verdict.code, detail: verdict.detail });
 */
export function verifyPath(options: VerifyPathOptions): PathVerdict {
  const { chain, anchors, atMs, purpose } = options;
  const leaf = chain[0];
  if (leaf === undefined) return refused('chain_empty', 'there is no certificate');
  if (chain.length > chainLengthMax) {
    return refused(
      'chain_length',
      `${chain.length} certificates, at most ${chainLengthMax} are read`,
    );
  }
  const fault = checkCertificate(leaf, atMs, purpose, 'leaf');
  if (fault !== undefined) return fault;
  const search: Search = {
    anchors,
    intermediates: chain.slice(1),
    options,
    signatureChecks: 0,
    candidates: 0,
    nearest: undefined,
  };
  return extend(search, [leaf]) ?? search.nearest ?? untrusted(leaf);
}

interface Search {
  readonly anchors: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly options: VerifyPathOptions;
  signatureChecks: number;
  candidates: number;
  /** Why the longest path tried so far failed. */
  nearest: (PathRefusal & { readonly length: number }) | undefined;
}

/** Depth first: anchors before intermediates, so that the shortest way to trust is found first. */
function extend(search: Search, path: readonly Certificate[]): PathVerdict | undefined {
  const child = path.at(-1);
  if (child === undefined) return undefined;
  for (const anchor of search.anchors) {
    if (!mayHaveIssued(anchor, child) || isIn(path, anchor)) continue;
    const verdict = step(search, path, anchor);
    if (verdict === undefined) return { kind: 'valid', path: [...path, anchor] };
    if (isExhausted(verdict)) return verdict;
  }
  if (path.length >= pathLengthMax - 1) return undefined;
  for (const intermediate of search.intermediates) {
    if (!mayHaveIssued(intermediate, child) || isIn(path, intermediate)) continue;
    const verdict = step(search, path, intermediate);
    if (isExhausted(verdict)) return verdict;
    if (verdict !== undefined) continue;
    const found = extend(search, [...path, intermediate]);
    if (found !== undefined) return found;
    note(search, untrusted(intermediate), path.length + 1);
  }
  return undefined;
}

/** Why `issuer` cannot follow `path`, or undefined if it can. Cheap checks first, the signature last. */
function step(
  search: Search,
  path: readonly Certificate[],
  issuer: Certificate,
): PathRefusal | undefined {
  const { atMs, purpose, verifiedPairs } = search.options;
  const child = path.at(-1) ?? issuer;
  search.candidates += 1;
  if (search.candidates > candidatesMax) {
    return refused('search_exhausted', `no path found among ${candidatesMax} candidates`);
  }
  const fault =
    checkCertificate(issuer, atMs, purpose, 'authority') ??
    checkAuthority(issuer) ??
    checkPathLengths(path, issuer) ??
    checkNameConstraints(path, issuer);
  if (fault !== undefined) return note(search, fault, path.length);
  if (verifiedPairs?.has(issuer, child) === true) return undefined;
  if (search.signatureChecks === signatureChecksMax) {
    return refused('search_exhausted', `no path found in ${signatureChecksMax} signature checks`);
  }
  search.signatureChecks += 1;
  const signature = isSignedBy(child, issuer);
  if (signature !== undefined) return note(search, signature, path.length);
  verifiedPairs?.add(issuer, child);
  return undefined;
}

function note(search: Search, refusal: PathRefusal, length: number): PathRefusal {
  if (search.nearest === undefined || length > search.nearest.length) {
    search.nearest = { ...refusal, length };
  }
  return refusal;
}

/** A hint only: names must chain, and key identifiers must not contradict (RFC 4158 §3.5.12). */
function mayHaveIssued(issuer: Certificate, child: Certificate): boolean {
  if (!equalBytes(issuer.subject, child.issuer)) return false;
  const { authorityKeyId } = child.extensions;
  const { subjectKeyId } = issuer.extensions;
  return (
    authorityKeyId === undefined ||
    subjectKeyId === undefined ||
    equalBytes(authorityKeyId, subjectKeyId)
  );
}

/** True if this authority is on the path already, be it under another certificate. */
function isIn(path: readonly Certificate[], candidate: Certificate): boolean {
  return path.some(
    (certificate) =>
      equalBytes(certificate.subject, candidate.subject) &&
      equalBytes(certificate.spki, candidate.spki),
  );
}

function isExhausted(refusal: PathRefusal | undefined): boolean {
  return refusal?.code === 'search_exhausted';
}

function untrusted(certificate: Certificate): PathRefusal {
  return refused(
    'untrusted',
    `no trusted authority is the issuer of ${describeCertificate(certificate)}`,
  );
}

// Two tiers need three; nested and cross-signed authorities a few more.
const pathLengthMax = 8;

// The peer chooses the chain, so it must not choose how much is read.
const chainLengthMax = 16;

// An ECDSA verification takes some 90 µs: this keeps the work for one hostile chain under 2 ms.
const signatureChecksMax = 16;

// Bounds the walk where remembered signatures cost nothing; a bundle may hold some hundred anchors.
const candidatesMax = 512;
