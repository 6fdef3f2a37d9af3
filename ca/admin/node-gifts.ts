/** What whoever names a node gives away with the name: every identity that is registered under it. */

import type { CreateEntry } from '../../api/index.ts';
import { spiffeIdOf } from '../../spiffe/index.ts';
import { reservedPath } from '../registry/registration-entry.ts';
import type { AdminDeps } from './admin-context.ts';
import type { Placement } from './admin-roles.ts';

type Deps = Pick<AdminDeps, 'registry' | 'trustDomain'>;

/** The identities that these entries make administrators, by their flag. */
export function administratorsOf(entries: readonly CreateEntry[]): readonly string[] {
  return entries.filter(({ admin }) => admin === true).map(({ spiffeId }) => spiffeId);
}

/** The identities that nodes come to by these entries, of which those under the CA name nodes. */
export async function giftsOfAliases(
  deps: Deps,
  entries: readonly Placement[],
): Promise<readonly string[]> {
  const caId = spiffeIdOf(deps.trustDomain, `${reservedPath}/ca`);
  const names = entries.filter(({ parentId }) => parentId === caId);
  return giftsOfNames(deps, new Set(names.map(({ spiffeId }) => spiffeId)));
}

/**
 * The identities under these names. A node's names come from its token and from entries under the CA alone,
 * and a name gives no further name, so one step is all there is.
 */
export async function giftsOfNames(
  { registry }: Pick<Deps, 'registry'>,
  names: ReadonlySet<string>,
): Promise<readonly string[]> {
  const gifts = new Set<string>();
  if (names.size === 0) return [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listEntries({
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    for (const { parentId, spiffeId } of page.items) if (names.has(parentId)) gifts.add(spiffeId);
    if (page.next === undefined) return [...gifts];
    after = page.next;
  }
}
