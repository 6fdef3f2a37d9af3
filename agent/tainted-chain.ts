/** Whether an SVID stands under a key that the CA says is not to be relied on. */

import { toHex } from '../core/index.ts';
import type { Certificate } from '../pki/index.ts';

/** Any authority counts: the root, the one that signed the leaf, and whatever stands between. */
export function standsUnderTainted(
  chain: readonly Certificate[],
  rootKeyId: string,
  taintedKeyIds: ReadonlySet<string>,
): boolean {
  if (taintedKeyIds.size === 0) return false;
  if (taintedKeyIds.has(rootKeyId)) return true;
  return chain.some(({ extensions: { authorityKeyId } }) =>
    authorityKeyId === undefined ? false : taintedKeyIds.has(toHex(authorityKeyId)),
  );
}
