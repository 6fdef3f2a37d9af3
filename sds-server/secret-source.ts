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
}

/** Declared here because SDS is what calls it; an agent or a stand-alone server implements it. */
export interface SecretSource {
  /**
   * The secrets of `caller`. Rejects with a CodedError if the caller cannot be known; a known caller with
   * no identity gets an empty set that may fill later. The watch may rest when `signal` is aborted.
   */
  watch(caller: Caller, signal: AbortSignal): Promise<Watch<SecretSet>>;
}
