/** The operator's issuance policy as the issuance cycle sees it: one question, and a verdict with its rule and reason. */

import type { IssuanceFacts, IssuanceVerdict } from '../../policies/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { type IssuanceRefusal, refuse } from './issuance-refusal.ts';

export interface PolicyQuestion {
  /** Absent where an operator asks for a token, with no node in between. */
  readonly nodeId?: SpiffeId;
  readonly entry: RegistrationEntry;
  readonly kind: 'x509' | 'jwt';
  readonly ttlMs: number;
  readonly keyType?: string;
  readonly audience?: readonly string[];
}

/** A verdict and nothing else: asking is free of consequences. Without a time it is about now. */
export type PolicyJudge = (question: PolicyQuestion, atMs?: number) => IssuanceVerdict;

/** What an allowed request carries on into the audit log; undefined where there is no policy. */
export type PolicyMark = { readonly rule: string; readonly reason: string };

export type PolicyOutcome =
  | { readonly kind: 'allowed'; readonly policy?: PolicyMark }
  | IssuanceRefusal;

/** With no judge everything that the registry grants is allowed. */
export function judgeByPolicy(
  judge: PolicyJudge | undefined,
  question: PolicyQuestion,
): PolicyOutcome {
  if (judge === undefined) return { kind: 'allowed' };
  const { kind, rule, reason } = judge(question);
  if (kind === 'allow') return { kind: 'allowed', policy: { rule, reason } };
  return { ...refuse('permission_denied', 'policy_denied', reason), policy: { rule, reason } };
}

/** The facts of a question, with what the registry knows of the node. */
export function factsOf(
  { nodeId, entry, kind, ttlMs, keyType = '', audience = [] }: PolicyQuestion,
  nodeSelectors: (nodeId: SpiffeId) => readonly string[],
  nowMs: number,
): IssuanceFacts {
  const { id, spiffeId, dnsNames, hint, admin, createdAtMs } = entry;
  return {
    node: { id: nodeId ?? '', selectors: nodeId === undefined ? [] : nodeSelectors(nodeId) },
    entry: { id, spiffeId, dnsNames, hint, admin, createdAtMs },
    request: { kind, ttlSeconds: ttlMs / 1000, keyType, audience },
    nowMs,
  };
}
