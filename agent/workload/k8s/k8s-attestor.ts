/** The `k8s` attestor: from the process by its cgroup to its container, and from that to its pod. */

import { type Clock, sleep } from '../../../core/index.ts';
import { AgentError } from '../../agent-error.ts';
import { containerOfProcess, readProcessCgroups } from '../process-cgroups.ts';
import { localDeadlineMs, type WorkloadAttestor } from '../workload-attestor.ts';
import { podSelectors } from './pod.ts';
import type { FoundPod } from './pod-index.ts';
import type { PodSource } from './pod-source.ts';

export interface K8sAttestorOptions {
  readonly pods: PodSource;
  readonly clock: Clock;
  /** How long a pod's container may be unknown, because its status is written after it has started. */
  readonly podWaitMs: number;
  readonly useMountinfo: boolean;
  readonly procRoot?: string;
}

export function createK8sAttestor(options: K8sAttestorOptions): WorkloadAttestor {
  const { pods, podWaitMs, useMountinfo, procRoot = '/proc' } = options;
  const unclaimed = createUnclaimed(options);
  return {
    name: 'k8s',
    deadlineMs: podWaitMs + localDeadlineMs,
    async attest({ pid }, signal) {
      const cgroups = readProcessCgroups(procRoot, pid);
      const container = await containerOfProcess(cgroups, procRoot, pid, useMountinfo);
      // A process outside of any container is no pod's, and nobody need be asked.
      if (container === undefined) return { selectors: [], holds: cgroups.holds };
      const { containerId, podUid } = container;
      // A cgroup that names its pod is a pod's, and its status is on its way. Another container, of an engine
      // beside the kubelet as a rule, holds nobody up: it is looked at again for as long.
      const found =
        podUid === undefined
          ? await pods.find(containerId, signal)
          : await waitForPod(containerId, options, signal);
      if (found === undefined) {
        if (unclaimed.isForGood(containerId)) return { selectors: [], holds: cgroups.holds };
        throw notKnown(containerId);
      }
      const { pod } = found;
      if (podUid !== undefined && !isPod(found, podUid)) {
        throw new AgentError(
          'workload_ambiguous',
          'unavailable',
          `process ${pid} is in pod ${podUid} by its cgroup and in ${pod.uid} by its container`,
        );
      }
      return {
        selectors: podSelectors(pod, found.container),
        holds: cgroups.holds,
        subscribe: (listener) => pods.subscribe(pod.uid, listener),
      };
    },
  };
}

async function waitForPod(
  containerId: string,
  { pods, clock, podWaitMs }: K8sAttestorOptions,
  signal: AbortSignal,
): Promise<FoundPod> {
  const untilMs = clock.monotonicMs() + podWaitMs;
  for (;;) {
    const found = await pods.find(containerId, signal);
    if (found !== undefined) return found;
    if (signal.aborted || clock.monotonicMs() >= untilMs) {
      throw notKnown(containerId);
    }
    await sleep(clock, askAgainMs, signal);
  }
}

function notKnown(containerId: string): AgentError {
  return new AgentError(
    'attestor_unavailable',
    'unavailable',
    `no pod of this node has container ${containerId}`,
  );
}

/** Containers that no pod has, by when that was first seen: past the wait they are no pod's. */
function createUnclaimed({ clock, podWaitMs }: K8sAttestorOptions): {
  isForGood(containerId: string): boolean;
} {
  const firstSeenMs = new Map<string, number>();
  return {
    isForGood(containerId) {
      const nowMs = clock.monotonicMs();
      const sinceMs = firstSeenMs.get(containerId) ?? nowMs;
      firstSeenMs.set(containerId, sinceMs);
      for (const [oldest] of firstSeenMs) {
        if (firstSeenMs.size <= unclaimedMax) break;
        firstSeenMs.delete(oldest);
      }
      return nowMs - sinceMs >= podWaitMs;
    },
  };
}

function isPod({ pod }: FoundPod, uid: string): boolean {
  return pod.uid === uid || pod.configHash === uid;
}

const askAgainMs = 250;
// More than run on one machine; one that is forgotten is looked for anew.
const unclaimedMax = 1000;
