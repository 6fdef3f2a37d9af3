/** What of the running agent goes into the sealed cache, and when. */

import type { Clock, Logger, Random, Scope, Watch } from '../../core/index.ts';
import type { AgentConfig } from '../config.ts';
import type { NodeSession } from '../node-session.ts';
import { nameOfTrust, type PushedState } from '../pushed-state.ts';
import type { EntrySvid, EntrySvids } from '../svid/entry-svid.ts';
import { privatePlaceOf } from './private-place.ts';
import { openSealedCache, readBootId, type SealedCache } from './sealed-cache.ts';

export function openAgentCache(
  config: Pick<AgentConfig, 'cache' | 'socket' | 'trustDomain'>,
  deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): Promise<SealedCache> {
  return openSealedCache(config.cache, {
    ...deps,
    trustDomain: config.trustDomain,
    // Below /run as a rule: then not even what is sealed meets a disk.
    place: privatePlaceOf(config.socket),
    euid: process.geteuid?.(),
    bootId: readBootId,
  });
}

/** Has the cache written now and after every change, until the scope is closed. */
export function keepAgent(
  p: {
    readonly cache: SealedCache;
    readonly config: Pick<AgentConfig, 'ca'>;
    readonly node: NodeSession;
    readonly pushed: PushedState;
    readonly svids: Watch<EntrySvids>;
    /** All that is held, whether published or not. */
    readonly held: () => readonly EntrySvid[];
    readonly clock: Clock;
  },
  scope: Scope,
): void {
  const { cache, config, node, pushed, svids, held, clock } = p;
  const keep = (): void =>
    cache.keep(() => {
      const { bundles, bundleText } = pushed.state.current() ?? node.firstBundles;
      return {
        savedAtMs: clock.wallMs(),
        caTrust: nameOfTrust(config.ca.trust),
        node: node.svid.current(),
        attestKey: node.attestKey,
        push: pushed.newest(),
        bundles,
        bundleText,
        svids: held(),
      };
    });
  for (const watch of [pushed.state, svids, node.svid] as readonly Watch<unknown>[]) {
    scope.onClose(watch.subscribe(keep));
  }
  keep();
}
