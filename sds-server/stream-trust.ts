/** What one stream's acknowledgements say about the roots its client trusts by now. */

import type { SubscriptionState } from './subscription.ts';

export interface StreamTrust {
  /**
   * The client watches a validation context of the trust domain that it may see now. One that may not, or
   * no longer, is never going to acknowledge a new root, and nobody must wait for it.
   */
  readonly subscribed: boolean;
  /** Hex key ids of the roots that the newest ACK shows in every validation context it watches. */
  readonly acknowledgedRootKeyIds: readonly string[];
}

/** Told whenever the standing of a stream changes, and `undefined` when the stream is gone. */
export interface TrustObserver {
  streamChanged(streamId: string, trust: StreamTrust | undefined): void;
}

export const nobodyObserves: TrustObserver = { streamChanged() {} };

/** `covers` says whether a name stands for a validation context with the roots of the trust domain, and is ready. */
export function trustOf(state: SubscriptionState, covers: (name: string) => boolean): StreamTrust {
  const names = watchedNames(state).filter(covers);
  if (names.length === 0) return { subscribed: false, acknowledgedRootKeyIds: [] };
  const [first = [], ...others] = names.map(
    (name) => state.acknowledged?.secrets.get(name)?.rootKeyIds ?? [],
  );
  // A client with two validation contexts trusts a root only when both have it.
  const everywhere = first.filter((id) => others.every((ids) => ids.includes(id)));
  return { subscribed: true, acknowledgedRootKeyIds: [...new Set(everywhere)] };
}

export function sameTrust(left: StreamTrust, right: StreamTrust): boolean {
  return (
    left.subscribed === right.subscribed &&
    left.acknowledgedRootKeyIds.length === right.acknowledgedRootKeyIds.length &&
    left.acknowledgedRootKeyIds.every((id) => right.acknowledgedRootKeyIds.includes(id))
  );
}

function watchedNames(state: SubscriptionState): readonly string[] {
  if (state.wanted.kind === 'named') return state.wanted.names;
  // Everything means whatever there was to send.
  return state.wanted.kind === 'all' ? [...(state.last?.secrets.keys() ?? [])] : [];
}
