/**
 * Pods of this node from the API server: listed once, then watched (Kubernetes API concepts, "Efficient
 * detection of changes"), so that attestation asks nobody and a changed label is known at once.
 */

import {
  backoffMs,
  type Clock,
  describeError,
  type Logger,
  type Random,
  sleep,
  type Timer,
  WatchSource,
} from '../../../core/index.ts';
import { AgentError } from '../../agent-error.ts';
import { unlessAborted } from '../../unless-aborted.ts';
import { getJson, httpGet, type HttpTarget, linesOf, unavailable } from '../http-source.ts';
import { parsePod, parsePodList } from './pod.ts';
import { PodIndex } from './pod-index.ts';
import type { PodSource } from './pod-source.ts';

export interface ApiServerPodsDeps {
  readonly target: HttpTarget;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function createApiServerPods(deps: ApiServerPodsDeps): PodSource {
  return new WatchedPods(deps);
}

type Progress =
  | { readonly kind: 'starting' }
  | { readonly kind: 'listed' }
  | { readonly kind: 'failed'; readonly reason: string };

class WatchedPods implements PodSource {
  readonly #deps: ApiServerPodsDeps;
  readonly #index = new PodIndex();
  readonly #closed = new AbortController();
  readonly #progress = new WatchSource<Progress>({ kind: 'starting' });
  readonly #running: Promise<void>;

  constructor(deps: ApiServerPodsDeps) {
    this.#deps = deps;
    this.#running = this.#run();
  }

  async find(containerId: string, signal: AbortSignal) {
    await this.#started(signal);
    const progress = this.#progress.current();
    const found = this.#index.find(containerId);
    // While the watch is broken what is known is still right: a container id is never given twice.
    if (found === undefined && progress.kind === 'failed') {
      throw new AgentError('attestor_unavailable', 'unavailable', progress.reason);
    }
    return found;
  }

  subscribe(podUid: string, listener: () => void): () => void {
    return this.#index.subscribe(podUid, listener);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #started(signal: AbortSignal): Promise<void> {
    if (this.#progress.current().kind !== 'starting') return;
    let stop = (): void => {};
    const started = new Promise<void>((resolve) => {
      stop = this.#progress.subscribe(() => resolve());
    });
    try {
      await unlessAborted(signal, started);
    } finally {
      stop();
    }
  }

  async #run(): Promise<void> {
    const { clock, random, log } = this.#deps;
    const { signal } = this.#closed;
    let version: string | undefined;
    for (let attempt = 0; !signal.aborted; ) {
      try {
        version ??= await this.#list();
        this.#progress.set({ kind: 'listed' });
        version = await this.#watch(version);
        attempt = 0;
        // A server that ends each watch at once is not asked without a pause.
        await sleep(clock, watchAgainMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        const reason = describeError(error);
        const before = this.#progress.current();
        if (before.kind !== 'failed') log.warn('the pods of this node are not known', { reason });
        this.#progress.set({ kind: 'failed', reason });
        version = undefined;
        await sleep(clock, backoffMs(retryPolicy, attempt, random), signal);
        attempt += 1;
      }
    }
  }

  async #list(): Promise<string> {
    const { target, clock } = this.#deps;
    const expired = new AbortController();
    const deadline = clock.after(requestMsMax, () => expired.abort());
    try {
      const signal = AbortSignal.any([this.#closed.signal, expired.signal]);
      const list = parsePodList(await getJson(target, this.#path(''), signal));
      if (list === undefined) throw unavailable(target, 'the answer is no list of pods');
      this.#index.replaceAll(list.pods);
      return list.resourceVersion;
    } finally {
      deadline.cancel();
    }
  }

  /** Resolves with where to go on once the server ends the watch, or undefined to list again. */
  async #watch(from: string): Promise<string | undefined> {
    const { target, clock } = this.#deps;
    const silent = new AbortController();
    let timer: Timer | undefined;
    const heard = (): void => {
      timer?.cancel();
      timer = clock.after(silenceMsMax, () => silent.abort());
    };
    let version = from;
    heard();
    try {
      const signal = AbortSignal.any([this.#closed.signal, silent.signal]);
      const query = `&watch=1&allowWatchBookmarks=true&timeoutSeconds=${watchSeconds}&resourceVersion=${encodeURIComponent(from)}`;
      const { status, body } = await httpGet(target, this.#path(query), signal);
      // 410: the version is too old to go on from.
      if (status === 410) return undefined;
      if (status !== 200) throw unavailable(target, `status ${status} for a watch of pods`);
      for await (const line of linesOf(target, body)) {
        heard();
        const next = this.#apply(line);
        if (next === undefined) return undefined;
        version = next === '' ? version : next;
      }
      return version;
    } finally {
      timer?.cancel();
      silent.abort();
    }
  }

  /** The version after one event, empty if it says none; undefined if the server cannot go on. */
  #apply(line: string): string | undefined {
    const { type, object } = eventOf(line);
    if (type === 'ERROR') return undefined;
    const pod = parsePod(object);
    if (pod !== undefined && type === 'DELETED') this.#index.remove(pod.uid);
    else if (pod !== undefined && type !== 'BOOKMARK') this.#index.set(pod);
    return versionOf(object);
  }

  #path(query: string): string {
    const field = encodeURIComponent(`spec.nodeName=${this.#deps.nodeName}`);
    return `/api/v1/pods?fieldSelector=${field}${query}`;
  }
}

function eventOf(line: string): { readonly type: unknown; readonly object: unknown } {
  const event: unknown = JSON.parse(line);
  if (typeof event !== 'object' || event === null) return { type: 'ERROR', object: undefined };
  return {
    type: 'type' in event ? event.type : undefined,
    object: 'object' in event ? event.object : undefined,
  };
}

function versionOf(object: unknown): string {
  if (typeof object !== 'object' || object === null || !('metadata' in object)) return '';
  const { metadata } = object;
  if (typeof metadata !== 'object' || metadata === null) return '';
  return 'resourceVersion' in metadata && typeof metadata.resourceVersion === 'string'
    ? metadata.resourceVersion
    : '';
}

const requestMsMax = 10_000;
const watchSeconds = 240;
// The server ends a watch after `watchSeconds`; one that has been silent for longer is dead.
const silenceMsMax = 300_000;
const watchAgainMs = 250;
const retryPolicy = { baseMs: 500, maxMs: 30_000 };
