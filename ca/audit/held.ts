/**
 * Who could have held an identity in a span of time: every certificate and token issued for it that was
 * valid then, with the key, the node that asked, whether it was revoked, by itself or with an authority
 * above it, and whether its node was put out meanwhile.
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
  readonly revoked: RecordAt | undefined;
  /**
   * The record that put the node out that asked. The CA gives it nothing from then on and refuses its own
   * SVIDs, which ends their overlap; what it had got for a workload, peers accept until it ends or is revoked.
   */
  readonly nodeOut: (RecordAt & { readonly type: string }) | undefined;
}

interface RecordAt {
  readonly index: number;
  readonly time: string;
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
  const ends = await endsOf(issued, files);
  return issued.map((each) => holding(each, ends.get(each) ?? {}, options));
}

interface Ends {
  revoked?: Holding['revoked'];
  nodeOut?: Holding['nodeOut'];
}

/** One pass over all that can end a certificate or put out who asked for it; the first of each counts. */
async function endsOf(
  issued: readonly Issued[],
  files: Pick<QueryOptions, 'directory' | 'archive' | 'endIndex'>,
): Promise<ReadonlyMap<Issued, Ends>> {
  const ends = new Map<Issued, Ends>(issued.map((each) => [each, {}]));
  // An issuing authority by its key, and the root that it stands under.
  const roots = new Map<string, string>();
  for await (const record of queryAudit({ ...files, types: endingTypes })) {
    const { index, time, type } = record;
    if (type === 'authority.issuing_rotated' && record.keyId !== undefined) {
      roots.set(record.keyId, record.certificate.issuerKeyId);
    }
    for (const [each, found] of ends) {
      const { issuance } = each;
      if (isRevokedBy(each, record, roots)) found.revoked ??= { index, time };
      const isOut = outTypes.has(type) && 'nodeId' in record && record.nodeId === issuance.node;
      const isLater = index > issuance.index && Date.parse(time) <= Date.parse(issuance.notAfter);
      if (isOut && isLater) found.nodeOut ??= { index, time, type };
    }
  }
  return ends;
}

interface Issued {
  readonly issuance: Omit<Holding, 'overlap' | 'revoked' | 'nodeOut'>;
  readonly issuerKeyId: string;
}

/** By its serial, or with the authority that signed it or the root above that. */
function isRevokedBy(
  { issuance, issuerKeyId }: Issued,
  record: AuditRecord,
  roots: ReadonlyMap<string, string>,
): boolean {
  if (record.type === 'svid.revoked') return record.serials.includes(issuance.serial);
  if (record.type !== 'authority.revoked' && record.type !== 'jwt_key.revoked') return false;
  const { keyId } = record.authority;
  return keyId === issuerKeyId || keyId === roots.get(issuerKeyId);
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
  { revoked, nodeOut }: Ends,
  { spiffeId, fromMs, toMs }: HeldOptions,
): Holding {
  const isOfNode = issuance.node === spiffeId;
  const startMs = Math.max(fromMs, Date.parse(issuance.notBefore));
  const endMs = Math.min(
    toMs,
    Date.parse(issuance.notAfter),
    revoked === undefined ? Infinity : Date.parse(revoked.time),
    isOfNode && nodeOut !== undefined ? Date.parse(nodeOut.time) : Infinity,
  );
  const overlap =
    startMs <= endMs
      ? { from: new Date(startMs).toISOString(), to: new Date(endMs).toISOString() }
      : undefined;
  return { ...issuance, overlap, revoked, nodeOut };
}

const outTypes: ReadonlySet<string> = new Set(['node.evicted', 'node.banned', 'node.removed']);
const endingTypes = [
  'svid.revoked',
  'authority.issuing_rotated',
  'authority.revoked',
  'jwt_key.revoked',
  ...outTypes,
];
