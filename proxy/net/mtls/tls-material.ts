/** What mutual TLS needs, as values: who we are, and whom to believe. Made from secrets, shared by all listeners and clusters. */

import type { SecureContext } from 'node:tls';
import type { Certificate } from '../../../pki/index.ts';
import type { BundleSet, SpiffeId } from '../../../spiffe/index.ts';
import type { RevocationLists } from './revoked-peers.ts';

/** Our own X509-SVID. The key is inside the context, in native memory, and nowhere else. */
export interface TlsIdentity {
  readonly id: SpiffeId;
  /** Leaf first. */
  readonly chain: readonly Certificate[];
  readonly context: SecureContext;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The version its source gave it, and when we took it over. */
  readonly version: string;
  readonly loadedAtMs: number;
}

/** The bundles by trust domain. They are never pooled: each vouches for its own trust domain alone. */
export interface TlsTrust {
  readonly bundles: BundleSet;
  readonly lists: RevocationLists;
  readonly version: string;
  readonly loadedAtMs: number;
}

/** Both together, as they were at one moment. A new identity or a new trust makes a new generation. */
export interface TlsMaterial {
  readonly identity: TlsIdentity;
  readonly trust: TlsTrust;
  readonly generation: number;
}

/** Why mutual TLS cannot be spoken now, or undefined if it can. A certificate outside its time is never presented. */
export function whyNotUsable(material: TlsMaterial | undefined, nowMs: number): string | undefined {
  if (material === undefined) return 'no secret has arrived yet';
  const { notBeforeMs, notAfterMs } = material.identity;
  if (nowMs > notAfterMs) return `our certificate expired at ${new Date(notAfterMs).toISOString()}`;
  // No peer would take it, and each would tell us in words of its own.
  if (nowMs < notBeforeMs) {
    return `our certificate is valid from ${new Date(notBeforeMs).toISOString()} on, so the clock may be wrong`;
  }
  return undefined;
}
