/** What one connection may have now: entries by its selectors, joined with the SVIDs at hand and the bundles. */

import { type Watch, WatchSource } from '../../core/index.ts';
import type { Caller } from '../../rpc/index.ts';
import type { KeyedSvid } from '../../sds-server/index.ts';
import type { BundleSet, TrustDomain } from '../../spiffe/index.ts';
import type { AgentEntry, CaState } from '../ca-state.ts';
import { bundlesSeen, noFederatedBundles } from '../federated-bundles.ts';
import type { EntrySvids } from '../svid/entry-svid.ts';
import type { AttestedCallers, Selectors } from './attested-callers.ts';
import type { DerivedIdentities } from './derived-identities.ts';
import { fittingEntries } from './fitting-entries.ts';
import { whenClosed } from './when-closed.ts';

export interface CallerIdentity {
  readonly entry: AgentEntry;
  /** Undefined until it is issued, and again if it expired. */
  readonly svid: KeyedSvid | undefined;
}

export type CallerIdentities =
  /** The CA has not told this agent anything yet. */
  | { readonly kind: 'starting' }
  | {
      readonly kind: 'known';
      readonly trustDomain: TrustDomain;
      /** In order of precedence; the first is the default. */
      readonly identities: readonly CallerIdentity[];
      /**
       * The own domain's, and those that its entries federate with. Empty for a caller without an identity:
       * trust is not told to strangers.
       */
      readonly bundles: BundleSet;
      /** DER; the revocation lists of the trust domain. Empty while nothing is revoked. */
      readonly crls: readonly Uint8Array[];
    };

export interface CallerIdentitiesSource {
  /** One watch per connection, shared by its streams. Rejects with AgentError if the caller cannot be known. */
  identitiesOf(caller: Caller): Promise<Watch<CallerIdentities>>;
}

export interface CallerIdentitiesDeps {
  readonly callers: Pick<AttestedCallers, 'selectorsOf'>;
  readonly state: Watch<CaState | undefined>;
  readonly svids: Watch<EntrySvids>;
  /** Told of every caller, to have certificates made for what its facts name. */
  readonly derived: Pick<DerivedIdentities, 'add'>;
}

export function createCallerIdentities(deps: CallerIdentitiesDeps): CallerIdentitiesSource {
  const watches = new WeakMap<Watch<Selectors>, Watch<CallerIdentities>>();
  return {
    async identitiesOf(caller) {
      const selectors = await deps.callers.selectorsOf(caller);
      const known = watches.get(selectors);
      if (known !== undefined) return known;
      const watch = watchIdentities(selectors, caller, deps);
      watches.set(selectors, watch);
      return watch;
    },
  };
}

function watchIdentities(
  selectors: Watch<Selectors>,
  caller: Caller,
  { state, svids, derived }: CallerIdentitiesDeps,
): Watch<CallerIdentities> {
  // Done again only when the entries or the selectors change, and not for every SVID.
  let matched: Matched | undefined;
  const matching = (of: CaState): readonly AgentEntry[] => {
    const by = selectors.current();
    const { entries, derivables } = of;
    if (matched?.entries !== entries || matched.derivables !== derivables || matched.by !== by) {
      matched = { entries, derivables, by, fitting: fittingEntries(of, by) };
    }
    return matched.fitting;
  };
  const compute = (): CallerIdentities => {
    const now = state.current();
    if (now === undefined) return { kind: 'starting' };
    const entries = matching(now);
    return {
      kind: 'known',
      trustDomain: now.trustDomain,
      identities: entries.map((entry) => ({ entry, svid: svids.current().get(entry.id)?.svid })),
      bundles: entries.length === 0 ? noBundles : bundlesOf(now, entries),
      crls: entries.length === 0 ? noCrls : now.crls,
    };
  };
  const identities = new WatchSource(compute());
  const refresh = (): void => {
    const computed = compute();
    if (sameIdentities(identities.current(), computed)) return;
    // Asked whenever there is something to tell: between two ticks of the callers' watch a process may have
    // ended, and nothing new goes out on its word.
    const next = hasEnded(caller) ? withdrawn(computed) : computed;
    if (!sameIdentities(identities.current(), next)) identities.set(next);
  };
  const stops = [
    state.subscribe(refresh),
    svids.subscribe(refresh),
    selectors.subscribe(refresh),
    derived.add(selectors),
  ];
  whenClosed(caller.closed, () => {
    for (const stop of stops) stop();
  });
  return identities;
}

/** Which entries fit, and all that this depends on. */
interface Matched extends Pick<CaState, 'entries'> {
  readonly derivables: CaState['derivables'] | undefined;
  readonly by: Selectors;
  readonly fitting: readonly AgentEntry[];
}

function hasEnded(caller: Caller): boolean {
  return caller.kind === 'unix' && caller.process !== undefined && !caller.process.alive();
}

function withdrawn(of: CallerIdentities): CallerIdentities {
  if (of.kind === 'starting') return of;
  return { ...of, identities: [], bundles: noBundles, crls: noCrls };
}

function bundlesOf(state: CaState, entries: readonly AgentEntry[]): BundleSet {
  const names = entries.flatMap(({ federatesWith = [] }) => federatesWith);
  return bundlesSeen(state.bundles, state.federated ?? noFederatedBundles, names);
}

function sameIdentities(left: CallerIdentities, right: CallerIdentities): boolean {
  if (left.kind !== 'known' || right.kind !== 'known') return left.kind === right.kind;
  return (
    left.bundles === right.bundles &&
    left.crls === right.crls &&
    left.identities.length === right.identities.length &&
    left.identities.every((identity, index) => {
      const other = right.identities[index];
      return (
        identity.svid === other?.svid &&
        identity.entry.id === other?.entry.id &&
        identity.entry.hint === other.entry.hint
      );
    })
  );
}

const noBundles: BundleSet = new Map();
const noCrls: readonly Uint8Array[] = [];
