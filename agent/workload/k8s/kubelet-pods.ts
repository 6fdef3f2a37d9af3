/**
 * Pods from the kubelet's own list, `GET /pods`: asked when a container is not known, however many
 * callers wait for it once, and every few seconds while somebody holds an identity by it.
 */

import { type Clock, describeError, type Logger, sleep, type Timer } from '../../../core/index.ts';
import { getJson, type HttpTarget, unavailable } from '../http-source.ts';
import { parsePodList } from './pod.ts';
import { PodIndex } from './pod-index.ts';
import type { PodSource } from './pod-source.ts';

export interface KubeletPodsDeps {
  readonly target: HttpTarget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly refreshMs?: number;
}

export function createKubeletPods(deps: KubeletPodsDeps): PodSource {
  const { target, clock, log, refreshMs = refreshMsDefault } = deps;
  const index = new PodIndex();
  const closed = new AbortController();
  let asking: Promise<void> | undefined;
  let askedMs = -Infinity;
  let answeredMs = -Infinity;
  let timer: Timer | undefined;

  const ask = async (): Promise<void> => {
    // However many ask for what does not exist, the kubelet hears of it twice a second at most.
    await sleep(clock, askedMs + askEveryMs - clock.monotonicMs(), closed.signal);
    askedMs = clock.monotonicMs();
    const expired = new AbortController();
    const deadline = clock.after(requestMsMax, () => expired.abort());
    try {
      const signal = AbortSignal.any([closed.signal, expired.signal]);
      const list = parsePodList(await getJson(target, '/pods', signal));
      if (list === undefined) throw unavailable(target, 'the answer to /pods is no list of pods');
      index.replaceAll(list.pods);
      answeredMs = askedMs;
    } finally {
      deadline.cancel();
    }
  };
  const askShared = (): Promise<void> => {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
  const keepFresh = (): void => {
    if (closed.signal.aborted || timer !== undefined || !index.isWatched) return;
    timer = clock.after(refreshMs, () => {
      askShared()
        .catch((error: unknown) => {
          // What is known stays: a kubelet that restarts takes no identity away.
          log.debug('the pods cannot be read again', { reason: describeError(error) });
        })
        .finally(() => {
          timer = undefined;
          keepFresh();
        });
    });
  };
  return {
    async find(containerId) {
      const known = index.find(containerId);
      // While nobody watches nothing is read, and a list of long ago would give an identity of long ago.
      if (known !== undefined && clock.monotonicMs() - answeredMs < 2 * refreshMs) return known;
      await askShared();
      return index.find(containerId);
    },
    subscribe(podUid, listener) {
      const stop = index.subscribe(podUid, listener);
      keepFresh();
      return stop;
    },
    async close() {
      closed.abort();
      timer?.cancel();
      await asking?.catch((error: unknown) =>
        log.debug('the last request for pods ended', { reason: describeError(error) }),
      );
    },
  };
}

const askEveryMs = 500;
const requestMsMax = 10_000;
// How late a changed label takes an identity away; the API server's watch is for those who want it sooner.
const refreshMsDefault = 10_000;
