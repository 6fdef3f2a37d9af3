/**
 * Who could have held an identity in a span of time: every certificate and token issued for it that was
 * valid then, with the key, the node that asked, and whether it was revoked.
 *
 * It says who could, not who did: a key that was copied leaves no record.
 */

import type { AuditRecord } from './event.ts';
import { type QueryOptions, queryAudit } from './query.ts';

export interface HeldOptions extends Pick<QueryOptions, 'directory' | 'archive' | 'endIndex'> {
  readonly spiffeId: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Holding {
  /** The record that issued it. */
  readonly index: number;
  readonly kind: 'x509' | 'jwt';
  /** The serial number, or the `jti`. */
  readonly serial: string;
  /** Who asked: a node's SPIFFE ID, or `ca`. */
  readonly node: string;
  /** Lower hexadecimal SHA-256 of the key's subjectPublicKeyInfo; a token has no key of its own. */
  readonly spkiSha256: string | undefined;
  readonly entryId: string | undefined;
  readonly notBefore: string;
  readonly notAfter: string;
  /** The part of the span in which it was valid and not revoked; absent if it was revoked before. */
  readonly overlap: { readonly from: string; readonly to: string } | undefined;
  readonly revoked: { readonly index: number; readonly time: string } | undefined;
}

/** Oldest first. Throws {@link AuditError} if the log cannot be read. */
export async function heldBy(options: HeldOptions): Promise<readonly Holding[]> {
  const { directory, archive, endIndex, spiffeId, fromMs, toMs } = options;
  const files = { directory, archive, endIndex };
  const issued: Issued[] = [];
  for await (const record of queryAudit({ ...files, spiffeId })) {
    const found = issuedBy(record, spiffeId);
    if (found === undefined) continue;
    const { notBefore, notAfter } = found.issuance;
    if (Date.parse(notBefore) < toMs && Date.parse(notAfter) >= fromMs) issued.push(found);
  }
  const revoked = new Map<string, NonNullable<Holding['revoked']>>();
  for (const type of ['svid.revoked', 'authority.revoked']) {
    for await (const record of queryAudit({ ...files, types: [type] })) {
      for (const { issuance } of issued.filter((each) => isRevokedBy(each, record))) {
        const { serial } = issuance;
        if (!revoked.has(serial)) revoked.set(serial, { index: record.index, time: record.time });
      }
    }
  }
  return issued.map((each) => holding(each, revoked.get(each.issuance.serial), options));
}

interface Issued {
  readonly issuance: Omit<Holding, 'overlap' | 'revoked'>;
  readonly issuerKeyId: string;
}

/** By its serial, or with the authority that signed it. */
function isRevokedBy({ issuance, issuerKeyId }: Issued, record: AuditRecord): boolean {
  if (record.type === 'svid.revoked') return record.serials.includes(issuance.serial);
  return record.type === 'authority.revoked' && record.authority.keyId === issuerKeyId;
}

function issuedBy(record: AuditRecord, spiffeId: string): Issued | undefined {
  const { index, actor } = record;
  if ('certificate' in record && record.certificate.spiffeId === spiffeId) {
    const { serial, spkiSha256, notBefore, notAfter, entryId, issuerKeyId } = record.certificate;
    // A node's first SVID is asked for by somebody who is nobody yet.
    const node = 'nodeId' in record ? record.nodeId : actor.id;
    const names = { index, kind: 'x509', serial, node } as const;
    return { issuance: { ...names, spkiSha256, entryId, notBefore, notAfter }, issuerKeyId };
  }
  if (!('token' in record) || record.token.spiffeId !== spiffeId) return undefined;
  const { jti, issuedAt, expiresAt, entryId, keyId } = record.token;
  const names = { index, kind: 'jwt', serial: jti, node: actor.id, spkiSha256: undefined } as const;
  return {
    issuance: { ...names, entryId, notBefore: issuedAt, notAfter: expiresAt },
    issuerKeyId: keyId,
  };
}

function holding(
  { issuance }: Issued,
  revoked: Holding['revoked'],
  { fromMs, toMs }: HeldOptions,
): Holding {
  const startMs = Math.max(fromMs, Date.parse(issuance.notBefore));
  const endMs = Math.min(
    toMs,
    Date.parse(issuance.notAfter),
    revoked === undefined ? Infinity : Date.parse(revoked.time),
  );
  const overlap =
    startMs <= endMs
      ? { from: new Date(startMs).toISOString(), to: new Date(endMs).toISOString() }
      : undefined;
  return { ...issuance, overlap, revoked };
}
