/** A store and an audit log whose process is killed at one write: it is lost, or written but never answered. */

import type { AuditLog } from '../../ca/audit/audit-log.ts';
import type { Store } from '../../ca/store/store.ts';

export class Killed extends Error {}

/** The writes of both are counted together, from 0; at and after `fatal` every one throws {@link Killed}. */
export function dyingWrites(
  { store, audit }: { readonly store: Store; readonly audit: AuditLog },
  fatal: number,
  effect: 'lost' | 'written',
): { readonly store: Store; readonly audit: AuditLog; readonly writes: () => number } {
  let writes = 0;
  const around = async <T>(write: () => Promise<T>): Promise<T> => {
    const number = writes;
    writes += 1;
    if (number > fatal || (number === fatal && effect === 'lost')) throw new Killed();
    const result = await write();
    if (number === fatal) throw new Killed();
    return result;
  };
  return {
    writes: () => writes,
    audit: {
      append: (event) => around(() => audit.append(event)),
      size: () => audit.size(),
      rootHash: () => audit.rootHash(),
      close: () => Promise.resolve(),
    },
    store: {
      get: (key) => store.get(key),
      range: (request) => store.range(request),
      pages: (prefix) => store.pages(prefix),
      watch: (...given) => store.watch(...given),
      revision: () => store.revision(),
      close: () => Promise.resolve(),
      commit: (transaction) => around(() => store.commit(transaction)),
    },
  };
}
