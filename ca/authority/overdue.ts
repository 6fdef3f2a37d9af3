/** The alarm of a rotation: a key that waits for the fleet past the deadline of the policy. Nothing is forced by it. */

import { formatDurationMs, type Logger } from '../../core/index.ts';
import { formatPropagation, type Propagation } from './evidence.ts';
import type { RotationPolicy } from './rotation-policy.ts';

/** A root or a JWT key that the fleet is to take up before it may sign. */
export interface WaitingKey {
  readonly id: string;
  readonly preparedAtMs: number;
}

export type DeadlinePolicy = Pick<RotationPolicy, 'threshold' | 'deadlineMs'>;

export function isOverdue(
  key: WaitingKey | undefined,
  nowMs: number,
  { deadlineMs }: DeadlinePolicy,
): key is WaitingKey {
  return key !== undefined && nowMs > key.preparedAtMs + deadlineMs;
}

/** Tells once of each key; told of it again after a restart, because it still is so. */
export class OverdueAlarm {
  readonly #log: Logger;
  readonly #policy: DeadlinePolicy;
  #toldId: string | undefined;

  constructor(log: Logger, policy: DeadlinePolicy) {
    this.#log = log;
    this.#policy = policy;
  }

  /** `key` is what is overdue, or nothing is. */
  look(key: WaitingKey | undefined, propagationOf: (id: string) => Propagation): void {
    if (key === undefined || key.id === this.#toldId) return;
    this.#toldId = key.id;
    const { deadlineMs, threshold } = this.#policy;
    this.#log.error('a rotation is overdue', {
      id: key.id,
      reason: `it is ${formatPropagation(propagationOf(key.id), threshold)} ${formatDurationMs(deadlineMs)} after it was prepared`,
      remedy:
        'see `signet node list` for who has not applied it, and evict nodes that are gone; or abort it; or activate it with --force and strand the rest',
    });
  }
}
