/** An upstream: the operator's own certificate and key, under which our issuing authorities stand. */

import type { KeyObject } from 'node:crypto';
import { toHex } from '../../core/index.ts';
import { type Certificate, keyIdOfSpki } from '../../pki/index.ts';
import type { Authority } from './authority.ts';

export interface Upstream {
  /** Lower hexadecimal key id of the root at the end of the chain: the trust anchor. */
  readonly rootId: string;
  /** What the key belongs to first, its root last; one certificate if the key is the root's. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

/** The upstream's root as an authority that waits. Its key is never stored: the operator gives it at each start. */
export function upstreamAuthority({ rootId, chain }: Upstream, nowMs: number): Authority {
  const certificate = chain.at(-1);
  if (certificate === undefined) throw new TypeError('an upstream has a chain');
  return {
    id: rootId,
    tier: 'root',
    state: 'prepared',
    certificate,
    preparedAtMs: nowMs,
    // The operator changed the file: that is the word to go on, once the evidence is there.
    isAutomatic: true,
  };
}

export function rootIdOf(root: Certificate): string {
  return toHex(keyIdOfSpki(root.spki));
}
