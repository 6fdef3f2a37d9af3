/** What the operator asks of a rotation, and the arithmetic that says whether it can be kept. */

import { formatDurationMs } from '../../core/index.ts';
import { AuthorityError } from './authority-error.ts';
import type { Lifetimes } from './lifetimes.ts';

export interface RotationPolicy {
  /** The share of nodes and of sidecars that must have acknowledged a root before it may sign: above 0, at most 1. */
  readonly threshold: number;
  /** How long that may take before it is an alarm. Nothing is forced by it. */
  readonly deadlineMs: number;
  /** The CA prepares the next root at half life, activates it on evidence, and retires the one before. */
  readonly automatic: boolean;
}

/** The policy with what is not given filled in: the default deadline is an hour, or what fits the lifetimes. */
export function rotationPolicyOf(
  given: {
    readonly threshold?: number | undefined;
    readonly deadline?: number | undefined;
    readonly automatic?: boolean | undefined;
  },
  lifetimes: Lifetimes,
): RotationPolicy {
  const { rootMs, x509SvidMs, nodeSvidMs } = lifetimes;
  const { threshold, deadlineMs, automatic } = defaultRotationPolicy;
  const roomMs = rootMs / 2 - Math.max(x509SvidMs, nodeSvidMs);
  return {
    threshold: given.threshold ?? threshold,
    deadlineMs: given.deadline ?? Math.max(nodeSvidMs, Math.min(deadlineMs, roomMs)),
    automatic: given.automatic ?? automatic,
  };
}

export const defaultRotationPolicy: RotationPolicy = {
  threshold: 1,
  deadlineMs: 3_600_000,
  automatic: true,
};

/** Throws {@link AuthorityError} `lifetimes_contradict` with the arithmetic of every contradiction. */
export function checkRotationPolicy(policy: RotationPolicy, lifetimes: Lifetimes): void {
  const { threshold, deadlineMs } = policy;
  const { rootMs, x509SvidMs, nodeSvidMs } = lifetimes;
  const text = formatDurationMs;
  const faults: string[] = [];
  if (!(threshold > 0 && threshold <= 1)) {
    faults.push(`threshold ${threshold} is not above 0 and at most 1`);
  }
  // A node that is gone counts until its certificate has ended: it could come back with it.
  if (deadlineMs < nodeSvidMs) {
    faults.push(
      `deadline ${text(deadlineMs)} is shorter than nodeSvid ${text(nodeSvidMs)}: ` +
        'a node that was lost just before counts for that long',
    );
  }
  // Half life left when the next root is prepared: it must arrive, and the last leaf of the old one end.
  const drainMs = Math.max(x509SvidMs, nodeSvidMs);
  const neededMs = deadlineMs + drainMs;
  if (policy.automatic && neededMs > rootMs / 2) {
    faults.push(
      `a rotation may take deadline ${text(deadlineMs)} + the longest SVID ${text(drainMs)} = ` +
        `${text(neededMs)}, but a root ${text(rootMs)} has ${text(rootMs)} / 2 = ${text(rootMs / 2)} ` +
        'left when the next one is prepared at half life',
    );
  }
  if (faults.length === 0) return;
  throw new AuthorityError('lifetimes_contradict', `rotation: ${faults.join('; ')}`, {
    remedy: 'change rotation.deadline, or lengthen lifetimes.root',
  });
}
