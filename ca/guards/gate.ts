/**
 * The gate before issuance: the clock must be right, it must be the caller's turn, and what the machine
 * has run out of is told by name.
 */

import type { Clock } from '../../core/index.ts';
import { Admission } from './admission.ts';
import type { ClockError, ClockGuard } from './clock-guard.ts';
import type { Limits } from './limits.ts';
import { nameResourceFault } from './resource-fault.ts';

export interface IssuanceGate {
  /** Runs one signature for a node. Throws ClockError, OverloadedError or ResourceFault. */
  sign<T>(nodeId: string, task: () => Promise<T>): Promise<T>;
  /** Runs one attestation for whoever calls from `address`. Throws as {@link sign}. */
  attest<T>(address: string, task: () => Promise<T>): Promise<T>;
  /** The fault of the clock as it is now. */
  clockFault(): ClockError | undefined;
  /** How many wait, and how many were sent away since the start. */
  load(): { readonly waiting: number; readonly overloaded: number };
}

export function createIssuanceGate(deps: {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly clockGuard: ClockGuard;
}): IssuanceGate {
  const { limits, clock, clockGuard } = deps;
  const perNode = limits.signingPerNodePerSecond;
  const signing = new Admission({
    clock,
    total: bucket(limits.signingPerSecond),
    perCaller: { perSecond: perNode, burst: Math.max(perNode, nodeBurst) },
    runningMax,
    beginPerTurnMax,
    queueMax: limits.queue,
    queuePerCallerMax: Math.min(limits.queue, queuePerNodeMax),
  });
  const attesting = new Admission({
    clock,
    total: bucket(limits.attestationsPerSecond),
    // Behind one address may stand many nodes, so it is held to fair turns and not to a rate.
    perCaller: bucket(limits.attestationsPerSecond),
    runningMax: attestingMax,
    beginPerTurnMax,
    queueMax: Math.min(limits.queue, attestQueueMax),
    queuePerCallerMax: Math.min(limits.queue, attestQueueMax),
  });
  const pass = async <T>(by: Admission, caller: string, task: () => Promise<T>): Promise<T> => {
    const run = async (): Promise<T> => {
      // Asked when the turn has come: the clock may have jumped while the caller waited.
      const fault = clockGuard.fault();
      if (fault !== undefined) throw fault;
      return task();
    };
    try {
      return await by.run(caller, run);
    } catch (error) {
      throw nameResourceFault(error);
    }
  };
  return {
    sign: (nodeId, task) => pass(signing, nodeId, task),
    attest: (address, task) => pass(attesting, address, task),
    clockFault: () => clockGuard.fault(),
    load: () => ({
      waiting: signing.depth() + attesting.depth(),
      overloaded: signing.refused() + attesting.refused(),
    }),
  };
}

function bucket(perSecond: number) {
  return { perSecond, burst: perSecond };
}

// As many share one sync of the audit log, and their order is settled: who asks now comes after them.
const runningMax = 64;
// Half a millisecond each. What an operator changes takes half a dozen turns until it is pushed to a node.
const beginPerTurnMax = 2;
// An agent that starts asks for up to 256 in one call: two calls of that size go through at once.
const nodeBurst = 512;
// Four calls of the largest size; an agent has one under way.
const queuePerNodeMax = 1024;
// Anybody may ask for this, so it may take only a share of the CA's time and memory.
const attestingMax = 64;
const attestQueueMax = 1024;
