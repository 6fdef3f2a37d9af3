/**
 * The issuance cycle: from a request to a certificate, in numbered steps. ARCHITECTURE.md tells them
 * under the same numbers. It is the only way from the network to a CA key.
 */

import { hash } from 'node:crypto';
import { type Clock, toHex } from '../../core/index.ts';
import {
  type CertificateRequest,
  CsrError,
  issueCertificate,
  keyIdOfSpki,
  inlineSignatures,
  type Signatures,
  verifyCertificateRequest,
} from '../../pki/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditedCertificate, AuditEvent } from '../audit/event.ts';
import type { Authorities } from '../authority/authorities.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import type { Issuer } from '../authority/issuer.ts';
import { type IssuanceObserver, type IssuanceStep, stepTimer } from './issuance-observer.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';
import { judgeKey, leafKeyPolicy } from './key-policy.ts';
import { type LeafIntent, lintLeaf } from './lint.ts';
import { authorize, type Grant, type IssuanceSubject, type SubjectDeps } from './profile.ts';
import { judgeByPolicy, type PolicyJudge, type PolicyOutcome } from './policy.ts';
import type { Serials } from './serial.ts';
import { leafValidity } from './validity.ts';

/** The part of the authorities that issuance works with. */
export type IssuingAuthorities = Pick<Authorities, 'issuer' | 'expectLeaf' | 'recordLeaf'>;

export interface IssuanceDeps extends SubjectDeps {
  readonly clock: Clock;
  readonly authorities: IssuingAuthorities;
  readonly serials: Serials;
  readonly audit: AuditLog;
  /** Where proofs of possession are judged; absent: in the calling thread. */
  readonly signatures?: Signatures;
  /** The operator's policy; absent if there is none. */
  readonly policy?: PolicyJudge;
  /** Why nothing is issued for this ID, if an operator blocked it. */
  readonly whyBlocked?: (id: SpiffeId) => string | undefined;
  /** Whether the store itself, and no view that follows it, has this node, and not banned. */
  readonly nodeStands?: (id: SpiffeId) => Promise<boolean>;
  /** Told of each certificate as soon as it is on the record. */
  readonly onRecorded?: (event: AuditEvent) => void;
  readonly observer?: IssuanceObserver;
  /** Told of each certificate that leaves. */
  readonly onIssued: () => void;
}

export interface IssuanceRequest {
  readonly subject: IssuanceSubject;
  /** PKCS#10, DER. Its key is taken, and nothing else of it. */
  readonly csr: Uint8Array;
}

export interface Issued {
  readonly kind: 'issued';
  readonly id: SpiffeId;
  /** DER, leaf first, then the issuing authority; no root. */
  readonly chain: readonly Uint8Array[];
  readonly serial: string;
  readonly notAfterMs: number;
  /** Whose end cut it short; absent if it is as long as was asked for. */
  readonly cappedBy?: 'issuer' | 'entry';
  /** DER of the root that the chain leads to. */
  readonly root: Uint8Array;
}

/** Issues one certificate, or says why not. Throws only what is no fault of the request. */
export async function issueX509Svid(
  deps: IssuanceDeps,
  request: IssuanceRequest,
): Promise<Issued | IssuanceRefusal> {
  const { clock, observer } = deps;
  if (observer === undefined) return issue(deps, request, () => {});
  const beganMs = clock.monotonicMs();
  try {
    const result = await issue(deps, request, stepTimer(observer, clock));
    const outcome = result.kind === 'issued' ? 'issued' : result.code;
    observer.ended(outcome, clock.monotonicMs() - beganMs);
    return result;
  } catch (error) {
    observer.ended('failed', clock.monotonicMs() - beganMs);
    throw error;
  }
}

async function issue(
  deps: IssuanceDeps,
  request: IssuanceRequest,
  done: (step: IssuanceStep) => void,
): Promise<Issued | IssuanceRefusal> {
  // 1. Authorize the caller and the entry. The names come from here, never from the request.
  const grant = await authorize(deps, request.subject);
  if (grant.kind === 'refused') return grant;
  const blocked = deps.whyBlocked?.(grant.id);
  if (blocked !== undefined) return refuse('permission_denied', 'id_blocked', blocked);
  done('authorize');

  // 2. Parse the request, with proof that whoever made it holds the key.
  const csr = await readRequest(request.csr, deps.signatures);
  if (csr.kind === 'refused') return csr;
  done('parse');

  // 3. Key policy: kinds and sizes that are accepted, and none of the CA's own keys. Then the operator's
  //    rules, which see what is now known: who asks, for which entry, how long, with which key.
  const issuer = currentIssuer(deps.authorities);
  if (issuer.kind === 'refused') return issuer;
  const keyId = keyIdOfSpki(csr.request.spki);
  const keyRefusal = judgeKey(csr.request, leafKeyPolicy, keyId, issuer.issuer.keyId);
  if (keyRefusal !== undefined) return keyRefusal;
  const allowed = judgeWorkload(deps.policy, grant, csr.request);
  if (allowed.kind === 'refused') return allowed;
  done('policy');

  // 4. Profile and validity, capped by the issuer's own and by the entry's end. From here on the issuer expects the leaf, so
  //    that it is not retired under our hands.
  const { issuer: by } = issuer;
  const { backdateMs } = deps.lifetimes;
  const nowMs = deps.clock.wallMs();
  const validity = leafValidity({
    nowMs,
    ttlMs: grant.ttlMs,
    backdateMs,
    issuer: by,
    entryEndsAtMs: grant.endsAtMs,
  });
  if (validity.kind === 'refused') return validity;
  deps.authorities.expectLeaf(by.id, validity.notAfterMs);

  // 5. Reserve a serial number that no certificate had or will have.
  const serial = await deps.serials.next();
  done('serial');

  // 6. Encode, then read the bytes back strictly: they must be an SVID and say what was meant.
  const intent: LeafIntent = {
    id: grant.id,
    dnsNames: grant.dnsNames,
    serial,
    spki: csr.request.spki,
    keyKind: csr.request.keyKind,
    keyId,
    validity,
  };
  const tbs = encodeLeaf(intent, by);
  await lintLeaf(tbs, intent, by);
  done('lint');

  // 7. Sign.
  const certificate = await issueCertificate(tbs, by.signer);
  done('sign');

  // 8. Record it in the audit log. If that fails the certificate never leaves.
  const audited = auditedLeaf(intent, by, { tbs, csr: request.csr, entryId: grant.entryId });
  const event = grant.event(audited, allowed.policy);
  await deps.audit.append(event);
  deps.onRecorded?.(event);
  done('record');

  // 9. Record how long the authorities above it are needed.
  await deps.authorities.recordLeaf(by.id, validity.notAfterMs);
  done('mark');

  // 10. Release, unless its ID was blocked or its node removed while it was made: who removes a node revokes
  //     what is on record by then, so what came on record later must not leave.
  const removedSince = await whyRemoved(deps, request.subject);
  if (removedSince !== undefined) return removedSince;
  const blockedSince = deps.whyBlocked?.(grant.id);
  if (blockedSince !== undefined) return refuse('permission_denied', 'id_blocked', blockedSince);
  deps.onIssued();
  return {
    kind: 'issued',
    id: grant.id,
    chain: [certificate, ...by.chain],
    serial: audited.serial,
    notAfterMs: validity.notAfterMs,
    ...(validity.cappedBy === undefined ? {} : { cappedBy: validity.cappedBy }),
    root: by.root,
  };
}

/** A node that is just being attested has no place yet: it is compared when it gets one. */
async function whyRemoved(
  { nodeStands }: IssuanceDeps,
  subject: IssuanceSubject,
): Promise<IssuanceRefusal | undefined> {
  if (nodeStands === undefined) return undefined;
  if (subject.kind !== 'workload' && subject.kind !== 'renewing_node') return undefined;
  const { id } = subject.caller;
  if (await nodeStands(id)) return undefined;
  return refuse('permission_denied', 'node_unknown', `node ${id} was removed meanwhile`);
}

async function readRequest(
  der: Uint8Array,
  signatures: Signatures = inlineSignatures,
): Promise<{ readonly kind: 'read'; readonly request: CertificateRequest } | IssuanceRefusal> {
  try {
    return { kind: 'read', request: await verifyCertificateRequest(der, signatures) };
  } catch (error) {
    if (!(error instanceof CsrError)) throw error;
    return refuse('invalid_argument', error.code, `the certificate request: ${error.message}`);
  }
}

/** Nodes and the CA's own server stand on attestation: rules are about workloads. */
function judgeWorkload(
  judge: PolicyJudge | undefined,
  { workload, ttlMs }: Grant,
  { keyKind }: CertificateRequest,
): PolicyOutcome {
  if (workload === undefined) return { kind: 'allowed' };
  return judgeByPolicy(judge, { ...workload, kind: 'x509', ttlMs, keyType: keyKind });
}

function currentIssuer(
  authorities: IssuingAuthorities,
): { readonly kind: 'current'; readonly issuer: Issuer } | IssuanceRefusal {
  try {
    return { kind: 'current', issuer: authorities.issuer() };
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    return refuse('unavailable', 'issuer_ended', error.message);
  }
}

function encodeLeaf(intent: LeafIntent, issuer: Issuer): Uint8Array {
  return issuer.template.encode({
    serial: intent.serial,
    notBeforeMs: intent.validity.notBeforeMs,
    notAfterMs: intent.validity.notAfterMs,
    spki: intent.spki,
    uris: [intent.id],
    dnsNames: intent.dnsNames,
  });
}

function auditedLeaf(
  intent: LeafIntent,
  issuer: Issuer,
  {
    tbs,
    csr,
    entryId,
  }: {
    readonly tbs: Uint8Array;
    readonly csr: Uint8Array;
    readonly entryId: string | undefined;
  },
): AuditedCertificate {
  return {
    serial: toHex(intent.serial),
    spiffeId: intent.id,
    dnsNames: intent.dnsNames,
    spkiSha256: hash('sha256', intent.spki, 'hex'),
    tbsSha256: hash('sha256', tbs, 'hex'),
    notBefore: new Date(intent.validity.notBeforeMs).toISOString(),
    notAfter: new Date(intent.validity.notAfterMs).toISOString(),
    issuerKeyId: issuer.id,
    csrSha256: hash('sha256', csr, 'hex'),
    ...(entryId === undefined ? {} : { entryId }),
    ...(intent.validity.cappedBy === undefined ? {} : { cappedBy: intent.validity.cappedBy }),
  };
}
