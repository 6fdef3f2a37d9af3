/**
 * The bundles of other trust domains: recorded, stored, shown, in this order, so that no node trusts by a
 * bundle that nobody can say who gave.
 */

import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Clock, utf8Bytes, utf8Text, type Watch, WatchSource } from '../../core/index.ts';
import {
  type Bundle,
  parseBundle,
  parseTrustDomain,
  type TrustDomain,
} from '../../spiffe/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor, AuditedForeignBundle } from '../audit/event.ts';
import { storeKeys, storePrefixes } from '../store/key-layout.ts';
import type { Store, StoreItem } from '../store/store.ts';
import { FederationError } from './federation-error.ts';
import { type ForeignBundle, readForeignBundle } from './foreign-bundle.ts';

export interface StoredForeignBundle extends ForeignBundle {
  readonly setAtMs: number;
  /** The document as it goes out to nodes. */
  readonly bytes: Uint8Array;
  /** Lower hexadecimal, of the document. */
  readonly sha256: string;
}

/** By trust domain; a new value with every change. */
export interface ForeignBundleSet {
  readonly bundles: ReadonlyMap<TrustDomain, StoredForeignBundle>;
  /** The store's revision since which it is so. */
  readonly revision: number;
}

export interface SetForeignBundle {
  readonly actor: Actor;
  readonly trustDomain: TrustDomain;
  readonly text: string;
  readonly force: boolean;
}

export interface ForeignBundlesDeps {
  readonly store: Store;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
  /** Our own bundle. */
  readonly trust: Pick<Watch<{ readonly bundle: Bundle }>, 'current'>;
}

/** Throws {@link FederationError} `federated_bundle_record`, or StoreError. */
export async function openForeignBundles(deps: ForeignBundlesDeps): Promise<ForeignBundles> {
  const { items, revision } = await deps.store.range({ prefix: storePrefixes.federatedBundles });
  const bundles = items.map(decode);
  return new ForeignBundles(deps, {
    bundles: new Map(bundles.map((each) => [each.bundle.trustDomain, each])),
    revision,
  });
}

export class ForeignBundles {
  readonly #deps: ForeignBundlesDeps;
  readonly #state: WatchSource<ForeignBundleSet>;
  #steps: Promise<unknown> = Promise.resolve();

  constructor(deps: ForeignBundlesDeps, loaded: ForeignBundleSet) {
    this.#deps = deps;
    this.#state = new WatchSource(loaded);
  }

  get state(): Watch<ForeignBundleSet> {
    return this.#state;
  }

  /** Throws {@link FederationError} `federated_bundle_unknown`. */
  get(trustDomain: TrustDomain): StoredForeignBundle {
    const found = this.#state.current().bundles.get(trustDomain);
    if (found !== undefined) return found;
    throw new FederationError(
      'federated_bundle_unknown',
      `there is no bundle of trust domain ${trustDomain}`,
      { remedy: 'see signet bundle list' },
    );
  }

  /** Throws {@link FederationError}. One that says what is known already changes nothing. */
  set({ actor, trustDomain, text, force }: SetForeignBundle): Promise<StoredForeignBundle> {
    return this.#exclusive(async () => {
      const { store, audit, clock, trust } = this.#deps;
      const { bundles } = this.#state.current();
      const before = bundles.get(trustDomain);
      const known = before?.bundle;
      const nowMs = clock.wallMs();
      const read = readForeignBundle({
        trustDomain,
        text,
        own: trust.current().bundle,
        known,
        nowMs,
        force,
      });
      if (before?.document === read.document) return before;
      if (before === undefined && bundles.size >= bundlesMax) {
        throw new FederationError(
          'federated_bundles_many',
          `there are bundles of ${bundlesMax} trust domains already`,
        );
      }
      const stored: StoredForeignBundle = {
        ...read,
        ...encoded(read.document),
        setAtMs: nowMs,
      };
      await audit.append({
        actor,
        type: 'federated_bundle.set',
        bundle: auditedBundle(stored),
        ...(before === undefined ? {} : { before: auditedBundle(before) }),
        ...(force ? { forced: true } : {}),
      });
      const key = storeKeys.federatedBundle(trustDomain);
      const result = await store.commit({ puts: [{ key, value: encode(stored) }] });
      this.#show(new Map([...bundles, [trustDomain, stored]]), revisionOf(result));
      return stored;
    });
  }

  /** Whoever federates with that domain trusts nobody of it from now on. Throws {@link FederationError}. */
  delete(actor: Actor, trustDomain: TrustDomain): Promise<StoredForeignBundle> {
    return this.#exclusive(async () => {
      const { store, audit } = this.#deps;
      const stored = this.get(trustDomain);
      await audit.append({
        actor,
        type: 'federated_bundle.deleted',
        bundle: auditedBundle(stored),
      });
      const result = await store.commit({ deletes: [storeKeys.federatedBundle(trustDomain)] });
      const rest = new Map(this.#state.current().bundles);
      rest.delete(trustDomain);
      this.#show(rest, revisionOf(result));
      return stored;
    });
  }

  #show(bundles: ForeignBundleSet['bundles'], revision: number): void {
    this.#state.set({ bundles, revision });
  }

  #exclusive<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#steps.then(step);
    // The next step runs whatever became of this one; its caller gets the failure.
    this.#steps = result.catch(() => undefined);
    return result;
  }
}

function encoded(document: string): { readonly bytes: Uint8Array; readonly sha256: string } {
  return { bytes: utf8Bytes(document), sha256: hash('sha256', document, 'hex') };
}

function auditedBundle(stored: StoredForeignBundle): AuditedForeignBundle {
  const { trustDomain, sequence, x509Authorities, jwtAuthorities } = stored.bundle;
  return {
    trustDomain,
    // 64 bits, which a number in JSON does not hold.
    sequence: String(sequence),
    sha256: stored.sha256,
    x509Authorities: x509Authorities.length,
    jwtAuthorities: jwtAuthorities.length,
  };
}

function revisionOf(result: Awaited<ReturnType<Store['commit']>>): number {
  // Without a compare there is nothing to conflict with.
  return result.kind === 'committed' ? result.revision : 0;
}

function encode({ bundle, document, setAtMs }: StoredForeignBundle): Uint8Array {
  const record = { schema: schemaVersion, trustDomain: bundle.trustDomain, document, setAtMs };
  return utf8Bytes(JSON.stringify(record));
}

function decode({ key, value }: Pick<StoreItem, 'key' | 'value'>): StoredForeignBundle {
  try {
    const { trustDomain, document, setAtMs } = recordSchema.parse(
      JSON.parse(utf8Text(value) ?? ''),
    );
    const bundle = parseBundle(document, parseTrustDomain(trustDomain));
    return { bundle, document, setAtMs, ...encoded(document) };
  } catch (cause) {
    throw new FederationError(
      'federated_bundle_record',
      `${key} is not the record of a bundle: the store is damaged, or a newer program wrote it`,
      { cause },
    );
  }
}

// A later shape may mean something else by the same members, so it is refused and not guessed at.
const schemaVersion = 1;
const recordSchema = z.object({
  schema: z.literal(schemaVersion),
  trustDomain: z.string(),
  document: z.string(),
  setAtMs: z.int().nonnegative(),
});
// An entry may name 64; each bundle is held in memory by the CA and by the nodes that need it.
const bundlesMax = 256;
