/** The entry that an operator names, as a node would have it or as it is registered. */

import { AdminError } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import type { AdminDeps } from './admin-context.ts';

/** With a node also the entries that a rule derives for it. Throws {@link AdminError} `entry_not_found`. */
export async function grantedEntry(
  { registry, authorizedEntry }: Pick<AdminDeps, 'registry' | 'authorizedEntry'>,
  id: string,
  nodeId?: SpiffeId,
): Promise<RegistrationEntry> {
  const served = nodeId === undefined ? undefined : authorizedEntry(nodeId, id);
  const entry = served ?? (await registry.getEntry(id));
  if (entry !== undefined) return entry;
  throw new AdminError('not_found', 'entry_not_found', `no entry has the id ${id}`);
}
