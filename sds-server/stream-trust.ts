/** What one stream's acknowledgements say about the roots its client trusts by now. */

import type { SecretSummary } from './secret-view.ts';

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

/**
 * `watched` are the names of validation contexts with the roots of the trust domain that the client may see
 * now; `usedBy` is the newest version of each that the client has acknowledged.
 */
export function trustOf(
  watched: readonly string[],
  usedBy: (name: string) => SecretSummary | undefined,
): StreamTrust {
  if (watched.length === 0) return { subscribed: false, acknowledgedRootKeyIds: [] };
  const [first = [], ...others] = watched.map((name) => usedBy(name)?.rootKeyIds ?? []);
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
