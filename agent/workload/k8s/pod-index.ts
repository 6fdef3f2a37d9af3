/** The pods of a node by container, and who wants to hear when one of them changes. */

import type { Pod, PodContainer } from './pod.ts';

export interface FoundPod {
  readonly pod: Pod;
  readonly container: PodContainer;
}

export class PodIndex {
  readonly #pods = new Map<string, { readonly pod: Pod; readonly text: string }>();
  readonly #byContainer = new Map<string, FoundPod>();
  readonly #listeners = new Map<string, Set<() => void>>();

  find(containerId: string): FoundPod | undefined {
    return this.#byContainer.get(containerId);
  }

  /** Whether someone waits for changes: nobody does, nothing need be asked. */
  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  /** Has `listener` called when the pod of a container changes or goes. */
  subscribe(podUid: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(podUid) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(podUid, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(podUid) === listeners) {
        this.#listeners.delete(podUid);
      }
    };
  }

  replaceAll(pods: readonly Pod[]): void {
    const present = new Set(pods.map(({ uid }) => uid));
    for (const uid of Array.from(this.#pods.keys())) if (!present.has(uid)) this.remove(uid);
    for (const pod of pods) this.set(pod);
  }

  set(pod: Pod): void {
    const text = JSON.stringify(pod);
    const before = this.#pods.get(pod.uid);
    if (before?.text === text) return;
    if (before !== undefined) this.#drop(before.pod);
    this.#pods.set(pod.uid, { pod, text });
    for (const container of pod.containers) this.#byContainer.set(container.id, { pod, container });
    this.#tell(pod.uid);
  }

  remove(uid: string): void {
    const known = this.#pods.get(uid);
    if (known === undefined) return;
    this.#pods.delete(uid);
    this.#drop(known.pod);
    this.#tell(uid);
  }

  #drop(pod: Pod): void {
    for (const { id } of pod.containers) this.#byContainer.delete(id);
  }

  #tell(uid: string): void {
    for (const listener of Array.from(this.#listeners.get(uid) ?? [])) listener();
  }
}
