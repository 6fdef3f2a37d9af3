/**
 * One signed list for each authority that still has a key, issuing or root (RFC 5280 §5). A list is made anew
 * when what is revoked under its authority changes, and is good until the authority itself ends: agents are
 * pushed to, so a list that ended early would only stop the mesh while the CA is away.
 */

import { type CrlReason, issueCrl, keyIdOf, parseCrl } from '../../pki/index.ts';
import type { ListIssuer } from '../authority/issuer.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Put } from '../store/store.ts';
import { formatStoredCrl, type StoredCrl } from './revocation-record.ts';

/** A leaf on the list of an issuing authority, or such an authority on the list of its root. */
export interface ListedCertificate {
  readonly serial: string;
  readonly issuerKeyId: string;
  readonly reason: CrlReason;
  readonly revokedAtMs: number;
}

export interface SignedLists {
  readonly crls: ReadonlyMap<string, StoredCrl>;
  /** What must be stored, and removed, before these are shown to anybody. */
  readonly puts: readonly Put[];
  readonly deletes: readonly string[];
}

/** The lists for what is revoked now; those that already say it stay as they are, byte for byte. */
export async function signLists(options: {
  readonly before: ReadonlyMap<string, StoredCrl>;
  readonly revocations: readonly ListedCertificate[];
  readonly issuers: readonly ListIssuer[];
  readonly nowMs: number;
  readonly backdateMs: number;
}): Promise<SignedLists> {
  const { before, revocations, issuers, nowMs, backdateMs } = options;
  const crls = new Map<string, StoredCrl>();
  const puts: Put[] = [];
  for (const issuer of issuers) {
    const { certificate } = issuer;
    if (certificate.notAfterMs < nowMs) continue;
    const known = before.get(issuer.id);
    const revoked = revocations
      .filter(({ issuerKeyId }) => issuerKeyId === issuer.id)
      .toSorted((left, right) => left.revokedAtMs - right.revokedAtMs);
    // Without a revocation anywhere there is nothing to tell; with one, every authority needs a list,
    // since a verifier that checks lists refuses whoever's issuer has none.
    if (known === undefined && revocations.length === 0) continue;
    const thisUpdateMs = Math.max(nowMs - backdateMs, certificate.notBeforeMs);
    if (known !== undefined && saysExactly(known, revoked, Math.max(nowMs, thisUpdateMs))) {
      crls.set(issuer.id, known);
      continue;
    }
    const number = (known?.number ?? 0n) + 1n;
    const der = await issueCrl(
      {
        issuer: certificate.subject,
        // §5.2.1: what the issuer's certificate calls its key, however an upstream made that.
        issuerKeyId: certificate.extensions.subjectKeyId ?? keyIdOf(issuer.signer.publicKey),
        number,
        // A verifier whose clock is a little behind would refuse a list of the future.
        thisUpdateMs,
        nextUpdateMs: certificate.notAfterMs,
        revoked,
      },
      issuer.signer,
    );
    const stored = { issuerKeyId: issuer.id, number, der };
    crls.set(issuer.id, stored);
    puts.push({ key: storeKeys.revocationList(issuer.id), value: formatStoredCrl(stored) });
  }
  const deletes = [...before.keys()]
    .filter((id) => !crls.has(id))
    .map((id) => storeKeys.revocationList(id));
  return { crls, puts, deletes };
}

/** A list that was made while the clock was ahead is not valid yet, and so says nothing. */
function saysExactly(
  { der }: StoredCrl,
  revoked: readonly ListedCertificate[],
  latestMs: number,
): boolean {
  const { revoked: said, thisUpdateMs } = parseCrl(der);
  if (thisUpdateMs > latestMs) return false;
  return said.size === revoked.length && revoked.every(({ serial }) => said.has(serial));
}
