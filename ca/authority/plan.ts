/**
 * When each step of a root rotation is safe, from what was measured (how long the last bundle took to
 * arrive) and what is known (when the last leaf under the old root ends). A pure function; it changes nothing.
 */

import { formatDurationMs } from '../../core/index.ts';
import type { Arrival, Authority, AuthoritySet } from './authority.ts';
import { formatPropagation, hasArrived, type Propagation } from './evidence.ts';
import type { Lifetimes } from './lifetimes.ts';
import type { RotationPolicy } from './rotation-policy.ts';
import { activeRoot, lastLeafNotAfterMs, waitingRoot } from './slot.ts';

export type PlannedStep = 'prepare' | 'publish' | 'activate' | 'retire';

export interface PlanEntry {
  readonly step: PlannedStep;
  /** `waiting`: for evidence or time; `blocked`: for the step before it. */
  readonly state: 'done' | 'ready' | 'waiting' | 'blocked';
  readonly authorityId?: string;
  readonly atMs?: number;
  readonly isEstimate: boolean;
  readonly reason: string;
}

export interface Plan {
  readonly deadlineMs?: number;
  readonly steps: readonly PlanEntry[];
  /** Of the newest root that was measured, after the first node was sent it. */
  readonly arrivals: readonly { readonly share: number; readonly afterMs: number }[];
}

export interface PlanInput {
  readonly set: AuthoritySet;
  readonly nowMs: number;
  readonly lifetimes: Lifetimes;
  readonly policy: RotationPolicy;
  readonly propagationOf: (rootId: string) => Propagation;
}

export function planRotation(input: PlanInput): Plan {
  const { set, policy } = input;
  const next = waitingRoot(set);
  const old = set.authorities.find(({ tier, state }) => tier === 'root' && state === 'draining');
  const arrivals = measured(set, next);
  if (next === undefined && old !== undefined)
    return { steps: drainingSteps(input, old), arrivals };
  const publish = publication(input, next, arrivals);
  const activate = activation(input, next, publish);
  return {
    ...(next === undefined || next.state === 'published'
      ? {}
      : { deadlineMs: next.preparedAtMs + policy.deadlineMs }),
    steps: [preparation(next), publish, activate, retirement(input, activate)],
    arrivals,
  };
}

function preparation(next: Authority | undefined): PlanEntry {
  return next === undefined
    ? {
        step: 'prepare',
        state: 'ready',
        isEstimate: false,
        reason: 'safe at any time: a new root only joins the bundle',
      }
    : {
        ...doneAt('prepare', next, next.preparedAtMs),
        reason: 'in the bundle, pushed to every node',
      };
}

function publication(
  { nowMs, policy, propagationOf }: PlanInput,
  next: Authority | undefined,
  arrivals: Plan['arrivals'],
): PlanEntry {
  if (next?.state === 'published') {
    return {
      ...doneAt('publish', next, next.publishedAtMs ?? nowMs),
      reason: formatPropagation(propagationOf(next.id), policy.threshold),
    };
  }
  const took = arrivals.find(({ share }) => share >= policy.threshold)?.afterMs;
  const fromMs = next === undefined ? nowMs : (next.pushedAtMs ?? nowMs);
  const estimate =
    took === undefined
      ? { reason: 'not measured yet; it is measured as it happens' }
      : {
          atMs: Math.max(nowMs, fromMs + took),
          reason: `the last root reached the asked share ${formatDurationMs(Math.round(took))} after its first push`,
        };
  if (next === undefined)
    return { step: 'publish', state: 'blocked', isEstimate: true, ...estimate };
  const counts = formatPropagation(propagationOf(next.id), policy.threshold);
  return {
    step: 'publish',
    state: 'waiting',
    authorityId: next.id,
    isEstimate: true,
    ...estimate,
    reason: `${counts}; ${estimate.reason}`,
  };
}

function activation(
  { nowMs, policy, propagationOf }: PlanInput,
  next: Authority | undefined,
  publish: PlanEntry,
): PlanEntry {
  if (next === undefined || publish.state !== 'done') {
    const at = publish.atMs === undefined ? {} : { atMs: publish.atMs };
    const reason = 'safe as soon as the root is published';
    return { step: 'activate', state: 'blocked', isEstimate: true, ...at, reason };
  }
  const holds = hasArrived(propagationOf(next.id), policy.threshold);
  return {
    step: 'activate',
    state: holds ? 'ready' : 'waiting',
    authorityId: next.id,
    ...(holds ? { atMs: nowMs } : {}),
    isEstimate: false,
    reason: holds ? 'the evidence holds' : 'somebody came since who does not have it yet',
  };
}

function retirement({ set, nowMs, lifetimes }: PlanInput, activate: PlanEntry): PlanEntry {
  const old = activeRoot(set);
  const lastMs = old === undefined ? undefined : lastLeafNotAfterMs(set, old);
  const leafMs = Math.max(lifetimes.x509SvidMs, lifetimes.nodeSvidMs);
  // Until the new root signs, every leaf is one more under the old.
  const atMs = Math.max(lastMs ?? 0, (activate.atMs ?? nowMs) + leafMs) + 1000;
  return {
    step: 'retire',
    state: 'blocked',
    ...(old === undefined ? {} : { authorityId: old.id }),
    ...(activate.atMs === undefined ? {} : { atMs }),
    isEstimate: true,
    reason:
      activate.atMs === undefined
        ? `safe ${formatDurationMs(leafMs)} after activation, when the last leaf under the old root has ended`
        : 'when the last leaf under the old root has ended',
  };
}

function drainingSteps({ set, nowMs }: PlanInput, old: Authority): PlanEntry[] {
  const next = activeRoot(set);
  const endMs = (lastLeafNotAfterMs(set, old) ?? 0) + 1000;
  const done =
    next === undefined
      ? []
      : [
          { ...doneAt('prepare', next, next.preparedAtMs), reason: 'in the bundle' },
          { ...doneAt('publish', next, next.publishedAtMs ?? next.preparedAtMs), reason: 'proved' },
          {
            ...doneAt('activate', next, next.activatedAtMs ?? next.preparedAtMs),
            reason: 'it signs',
          },
        ];
  return [
    ...done,
    {
      step: 'retire',
      state: endMs <= nowMs ? 'ready' : 'waiting',
      authorityId: old.id,
      atMs: Math.max(endMs, nowMs),
      isEstimate: false,
      reason:
        endMs <= nowMs
          ? 'no leaf under it is alive'
          : `the last leaf under it ends in ${formatDurationMs(endMs - nowMs)}`,
    },
  ];
}

function doneAt(step: PlannedStep, root: Authority, atMs: number): Omit<PlanEntry, 'reason'> {
  return { step, state: 'done', authorityId: root.id, atMs, isEstimate: false };
}

/** The arrivals of the root under way if it has all that is measured of it, else of the one before. */
function measured(set: AuthoritySet, next: Authority | undefined): Plan['arrivals'] {
  const roots = set.authorities.filter(({ arrivals = [] }) => arrivals.length > 0);
  const before = roots.filter(({ id }) => id !== next?.id);
  const root = before.at(-1) ?? roots.at(-1);
  if (root === undefined) return [];
  return (root.arrivals ?? []).map(({ share, atMs }: Arrival) => ({
    share,
    // Measured from the push: what lies between making the root and that is ours, not the fleet's.
    afterMs: Math.max(0, atMs - (root.pushedAtMs ?? root.preparedAtMs)),
  }));
}
