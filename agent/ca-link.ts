/** The connection to the CA as it is now: made anew whenever the node SVID or the bundle changes. */

import {
  type Closable,
  type Logger,
  describeError,
  type Watch,
  WatchSource,
} from '../core/index.ts';
import type { BundleSet } from '../spiffe/index.ts';
import type { CaState } from './ca-state.ts';
import type { NodeApi } from './node-api.ts';
import type { NodeSvid } from './node-svid.ts';

export interface CaLink extends Closable {
  readonly api: Watch<NodeApi>;
  /**
   * Connects anew at the next call, and to the CA's next address if it has several: a channel that has failed
   * often would wait before it tries again.
   */
  reconnect(): void;
}

export interface CaLinkDeps {
  readonly svid: Watch<NodeSvid>;
  readonly state: Watch<CaState | undefined>;
  /** The bundles known from attestation, until the first push. */
  readonly firstBundles: BundleSet;
  readonly open: (svid: NodeSvid, bundles: BundleSet) => NodeApi;
  /** What `open` connects to has failed. */
  readonly nextAddress: () => void;
  readonly log: Logger;
}

/** The old connection is closed after the new one is published, and lets its calls end. */
export function createCaLink(deps: CaLinkDeps): CaLink {
  let bundles = deps.firstBundles;
  const api = new WatchSource(deps.open(deps.svid.current(), bundles));

  const reopen = (): void => {
    const old = api.current();
    api.set(deps.open(deps.svid.current(), bundles));
    closeQuietly(old, deps.log);
  };
  const stops = [
    deps.svid.subscribe(reopen),
    deps.state.subscribe((state) => {
      if (state === undefined || state.bundles === bundles) return;
      bundles = state.bundles;
      reopen();
    }),
  ];
  return {
    api,
    reconnect() {
      deps.nextAddress();
      reopen();
    },
    async close() {
      for (const stop of stops) stop();
      await api.current().close();
    },
  };
}

function closeQuietly(api: NodeApi, log: Logger): void {
  api.close().catch((error: unknown) => {
    log.warn('an old connection to the CA did not close', { reason: describeError(error) });
  });
}
