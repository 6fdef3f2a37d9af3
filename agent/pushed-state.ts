/** What the CA has pushed, applied as the agent's state: the newest push, or that which a former start was left with. */

import { hash } from 'node:crypto';
import type { SyncResponse } from '../api/index.ts';
import { CodedError, describeError, type Logger, type Watch, WatchSource } from '../core/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import { type CaState, type KnownBundles, readCaState } from './ca-state.ts';
import type { AgentConfig, CaTrust } from './config.ts';
import type { AgentSnapshot } from './sealed-cache/agent-snapshot.ts';

export interface PushedState {
  readonly state: Watch<CaState | undefined>;
  /** The message that `state` was read from. */
  newest(): SyncResponse | undefined;
  /** Throws AgentError if it cannot be read; `first` are the bundles known before the first push. */
  apply(response: SyncResponse, first: KnownBundles): void;
}

export function createPushedState(p: {
  readonly trustDomain: TrustDomain;
  readonly restored: AgentSnapshot | undefined;
  readonly log: Logger;
}): PushedState {
  const { trustDomain, restored, log } = p;
  let newest = restored?.push;
  const state = new WatchSource<CaState | undefined>(
    restored === undefined || newest === undefined
      ? undefined
      : readCaState(newest, trustDomain, restored, log),
  );
  return {
    state,
    newest: () => newest,
    apply(response, first) {
      const next = readCaState(response, trustDomain, state.current() ?? first, log);
      log.debug('state of the CA applied', {
        revision: Number(next.revision),
        entries: next.entries.length,
      });
      newest = response;
      setSafely(state, next, log);
    },
  };
}

/** Why a snapshot is not for an agent with this configuration, or undefined. */
export function whyNotOurs(
  snapshot: AgentSnapshot,
  { ca: { trust }, trustDomain }: Pick<AgentConfig, 'ca' | 'trustDomain'>,
  log: Logger,
): string | undefined {
  if (snapshot.caTrust !== nameOfTrust(trust) && !isPinOf(trust, snapshot, trustDomain)) {
    return 'the configuration names another CA than it was made with';
  }
  try {
    if (snapshot.push !== undefined) readCaState(snapshot.push, trustDomain, snapshot, log);
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.message;
    throw error;
  }
}

export function nameOfTrust(trust: CaTrust): string {
  return trust.kind === 'root_sha256' ? `sha256:${trust.sha256}` : `file:${trust.path}`;
}

/** After a root rotation the pin is another, and of the same CA. */
function isPinOf(trust: CaTrust, { bundles }: AgentSnapshot, trustDomain: TrustDomain): boolean {
  if (trust.kind !== 'root_sha256') return true;
  const roots = bundles.get(trustDomain)?.x509Authorities ?? [];
  return roots.some(({ der }) => hash('sha256', der, 'hex') === trust.sha256);
}

/** One reader's fault is logged; the state is applied for all the others, and acknowledged. */
function setSafely<T>(source: WatchSource<T>, value: T, log: Logger): void {
  try {
    source.set(value);
  } catch (error) {
    log.error('a reader of the CA state failed', { reason: describeError(error) });
  }
}
