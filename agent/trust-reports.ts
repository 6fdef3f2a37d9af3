/** How many SDS streams of this node trust each root by now: what a root rotation waits for. */

import type { TrustReport } from '../api/index.ts';
import { toHex, type Watch, WatchSource } from '../core/index.ts';
import { keyIdOfSpki } from '../pki/index.ts';
import type { StreamTrust, TrustObserver } from '../sds-server/index.ts';
import type { CaState } from './ca-state.ts';

export interface TrustReports extends TrustObserver {
  /** Changes whenever a report may read differently. */
  readonly changes: Watch<number>;
  /** One report for each root of the bundle: the whole picture. */
  reports(state: CaState | undefined): TrustReport[];
}

export function createTrustReports(): TrustReports {
  const streams = new Map<string, StreamTrust>();
  const changes = new WatchSource(0);
  return {
    changes,
    streamChanged(streamId, trust) {
      if (trust === undefined) streams.delete(streamId);
      else streams.set(streamId, trust);
      changes.set(changes.current() + 1);
    },
    reports(state) {
      const subscribed = [...streams.values()].filter((trust) => trust.subscribed);
      return rootKeyIdsOf(state).map((authorityKeyId) => ({
        authorityKeyId,
        subscribers: subscribed.length,
        acknowledged: subscribed.filter((trust) =>
          trust.acknowledgedRootKeyIds.includes(authorityKeyId),
        ).length,
      }));
    },
  };
}

function rootKeyIdsOf(state: CaState | undefined): string[] {
  const bundle = state?.bundles.get(state.trustDomain);
  return (bundle?.x509Authorities ?? []).map((root) => toHex(keyIdOfSpki(root.spki)));
}
