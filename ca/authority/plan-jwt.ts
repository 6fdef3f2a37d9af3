/**
 * When each step of a rotation of the JWT key is safe: as {@link planRotation} for roots, with what differs. A
 * published key waits until verifiers that only poll have it, and one that drains leaves with its last token.
 */

import { formatDurationMs } from '../../core/index.ts';
import { formatPropagation, hasArrived, type Propagation } from './evidence.ts';
import { activeJwtKey, endOfTokensMs, type JwtKey, settledMs, waitingJwtKey } from './jwt-key.ts';
import type { Plan, PlanEntry } from './plan.ts';
import type { RotationPolicy } from './rotation-policy.ts';

export interface JwtPlanInput {
  readonly keys: readonly JwtKey[];
  readonly nowMs: number;
  /** How long a token lives at most. */
  readonly tokenMs: number;
  readonly policy: RotationPolicy;
  readonly propagationOf: (kid: string) => Propagation;
}

export function planJwtRotation(input: JwtPlanInput): Omit<Plan, 'arrivals'> {
  const { keys, policy } = input;
  const next = waitingJwtKey({ keys, sequence: 0n });
  const old = keys.findLast(({ state }) => state === 'draining');
  if (next === undefined && old !== undefined) return { steps: drainingSteps(input, old) };
  const publish = publication(input, next);
  const activate = activation(input, next, publish);
  return {
    ...(next?.state === 'prepared' ? { deadlineMs: next.preparedAtMs + policy.deadlineMs } : {}),
    steps: [preparation(next), publish, activate, retirement(input, activate)],
  };
}

function preparation(next: JwtKey | undefined): PlanEntry {
  if (next !== undefined) {
    return { ...done('prepare', next, next.preparedAtMs), reason: 'in the bundle' };
  }
  const reason = 'safe at any time: a new key only joins the bundle';
  return { step: 'prepare', state: 'ready', isEstimate: false, reason };
}

function publication(
  { nowMs, policy, propagationOf }: JwtPlanInput,
  next: JwtKey | undefined,
): PlanEntry {
  if (next === undefined) {
    const reason = 'as soon as the nodes have it';
    return { step: 'publish', state: 'blocked', isEstimate: true, reason };
  }
  const reason = formatPropagation(propagationOf(next.id), policy.threshold);
  if (next.state === 'published') {
    return { ...done('publish', next, next.publishedAtMs ?? nowMs), reason };
  }
  return { step: 'publish', state: 'waiting', authorityId: next.id, isEstimate: true, reason };
}

function activation(
  { keys, nowMs, policy, propagationOf }: JwtPlanInput,
  next: JwtKey | undefined,
  publish: PlanEntry,
): PlanEntry {
  const step = 'activate';
  if (next === undefined || publish.state !== 'done') {
    const reason = 'safe when verifiers that poll the bundle have looked again, after publication';
    return { step, state: 'blocked', isEstimate: true, reason };
  }
  const authorityId = next.id;
  const isAlone = activeJwtKey({ keys, sequence: 0n }) === undefined;
  const atMs = isAlone ? nowMs : settledMs(next);
  if (atMs > nowMs) {
    const reason = `verifiers that poll the bundle have it in ${formatDurationMs(atMs - nowMs)}`;
    return { step, state: 'waiting', authorityId, atMs, isEstimate: false, reason };
  }
  if (!hasArrived(propagationOf(next.id), policy.threshold)) {
    const reason = 'somebody came since who does not have it yet';
    return { step, state: 'waiting', authorityId, isEstimate: false, reason };
  }
  const reason = 'the evidence holds';
  return { step, state: 'ready', authorityId, atMs: nowMs, isEstimate: false, reason };
}

function retirement({ keys, tokenMs }: JwtPlanInput, activate: PlanEntry): PlanEntry {
  const old = activeJwtKey({ keys, sequence: 0n });
  const after = formatDurationMs(tokenMs);
  return {
    step: 'retire',
    state: 'blocked',
    ...(old === undefined ? {} : { authorityId: old.id }),
    // Until the new key signs, every token is one more under the old.
    ...(activate.atMs === undefined ? {} : { atMs: activate.atMs + tokenMs + 1000 }),
    isEstimate: true,
    reason: `safe ${after} after activation, when the last token under the old key has ended`,
  };
}

function drainingSteps({ keys, nowMs }: JwtPlanInput, old: JwtKey): PlanEntry[] {
  const signing = activeJwtKey({ keys, sequence: 0n });
  const endMs = endOfTokensMs(old);
  const isOver = endMs <= nowMs;
  const before =
    signing === undefined
      ? []
      : (['prepare', 'publish', 'activate'] as const).map((step) => ({
          ...done(step, signing, timeOf(step, signing)),
          reason: step === 'activate' ? 'it signs' : 'in the bundle',
        }));
  return [
    ...before,
    {
      step: 'retire',
      state: isOver ? 'ready' : 'waiting',
      authorityId: old.id,
      atMs: Math.max(endMs, nowMs),
      isEstimate: false,
      reason: isOver
        ? 'no token under it is alive'
        : `the last token under it ends in ${formatDurationMs(endMs - nowMs)}`,
    },
  ];
}

function timeOf(step: 'prepare' | 'publish' | 'activate', key: JwtKey): number {
  const { preparedAtMs, publishedAtMs = preparedAtMs, activatedAtMs = publishedAtMs } = key;
  return { prepare: preparedAtMs, publish: publishedAtMs, activate: activatedAtMs }[step];
}

function done(step: PlanEntry['step'], key: JwtKey, atMs: number): Omit<PlanEntry, 'reason'> {
  return { step, state: 'done', authorityId: key.id, atMs, isEstimate: false };
}
