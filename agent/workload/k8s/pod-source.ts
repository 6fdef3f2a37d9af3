/** The port of where pods are learnt: the kubelet of this node, or the API server. */

import type { Closable } from '../../../core/index.ts';
import type { FoundPod } from './pod-index.ts';

export interface PodSource extends Closable {
  /**
   * The pod of a container, or undefined if no pod with it is known now. Concurrent callers share what
   * is asked. Throws AgentError if who is asked does not answer, or once `signal` is aborted.
   */
  find(containerId: string, signal: AbortSignal): Promise<FoundPod | undefined>;
  /** Has `listener` called when the pod changes or goes, until the returned function is called. */
  subscribe(podUid: string, listener: () => void): () => void;
}
