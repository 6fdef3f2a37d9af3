/** The port behind which secrets come from: what one caller may see, and every later change of it. */

import type { KeyObject } from 'node:crypto';
import type { Watch } from '../core/index.ts';
import type { Certificate } from '../pki/index.ts';
import type { Caller } from '../rpc/index.ts';
import type { BundleSet, SpiffeId, TrustDomain } from '../spiffe/index.ts';

/** An X509-SVID with its key. A renewal is a new value: what is derived from it is cached per value. */
export interface KeyedSvid {
  readonly id: SpiffeId;
  /** Leaf first, no root. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

/** A secret that an operator stored under a name. A new version is a new value. */
export interface NamedSecret {
  readonly name: string;
  readonly version: bigint;
  /** One value under '' is a plain secret; others are told apart by their keys. */
  readonly values: ReadonlyMap<string, Uint8Array>;
}

/** The session ticket keys of the caller's default identity, the same wherever that identity runs. */
export interface TicketKeys {
  /** 80 bytes each, newest first: the first encrypts, all decrypt. */
  readonly keys: readonly Uint8Array[];
}

/** All that one caller may see now. Whatever is not in it does not exist for that caller. */
export interface SecretSet {
  /** The trust domain whose bundle `ROOTCA` names. */
  readonly trustDomain: TrustDomain;
  readonly svids: readonly KeyedSvid[];
  /**
   * What `default` names. Undefined while the caller's first identity is not ready, even if others are:
   * a name must not mean one identity now and another later.
   */
  readonly defaultSvid: KeyedSvid | undefined;
  /** Empty for a caller with no identity at all. */
  readonly bundles: BundleSet;
  /** DER; what the trust domain's authorities revoked. Absent or empty: nothing. */
  readonly crls?: readonly Uint8Array[];
  readonly ticketKeys?: TicketKeys;
  /** Those that were wanted and that the caller is entitled to. */
  readonly named?: ReadonlyMap<string, NamedSecret>;
  /**
   * Missing secrets that are on their way, by {@link canonicalName}; `everything` while the source has not yet
   * heard what the caller may have. A client that asks for one of them waits; any other missing name it is told
   * to be absent, where the protocol can say so.
   */
  readonly pending?: 'everything' | ReadonlySet<string>;
  /** Wanted names that were looked for and are not for this caller. A wanted name in no set is on its way. */
  readonly denied?: ReadonlySet<string>;
}

/** Declared here because SDS is what calls it; an agent or a stand-alone server implements it. */
export interface SecretSource {
  /**
   * The secrets of `caller`. Rejects with a CodedError if the caller cannot be known; a known caller with
   * no identity gets an empty set that may fill later. The watch may rest when `signal` is aborted.
   */
  watch(caller: Caller, signal: AbortSignal): Promise<Watch<SecretSet>>;
  /**
   * Called whenever the set of names that the caller's streams need fetched changes: `session-ticket-keys` and
   * the names of {@link NamedSecret}s, sorted; empty when no stream needs any. The source fetches them and sets a
   * new {@link SecretSet}; what is not wanted any more it drops and zeroes. Must not throw.
   */
  want?(caller: Caller, names: readonly string[]): void;
}
