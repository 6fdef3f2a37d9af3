/** Lifetimes that an operator may give: none that would be cut in silence each time it is used. */

import { AdminError } from '../../api/index.ts';
import { formatDurationMs } from '../../core/index.ts';
import { svidMsMax } from '../authority/lifetimes.ts';
import type { ImportFault } from '../registry/entry-import.ts';
import type { EntryDraft } from '../registry/registration-entry.ts';
import type { AdminDeps } from './admin-context.ts';

export type TtlDraft = Pick<EntryDraft, 'x509SvidTtlMs' | 'jwtSvidTtlMs'>;
export type TtlDeps = Pick<AdminDeps, 'lifetimes'> & {
  readonly jwt: Pick<AdminDeps['jwt'], 'lifetimes'>;
};

/** What is wrong with the lifetimes of one draft. */
export function ttlFaults(
  { lifetimes, jwt }: TtlDeps,
  { x509SvidTtlMs, jwtSvidTtlMs }: TtlDraft,
): readonly Omit<ImportFault, 'index'>[] {
  const faults: Omit<ImportFault, 'index'>[] = [];
  const x509MsMax = svidMsMax(lifetimes);
  if (x509SvidTtlMs !== undefined && x509SvidTtlMs > x509MsMax) {
    const detail =
      `${formatDurationMs(x509SvidTtlMs)} does not fit under an issuing authority of ` +
      `${formatDurationMs(lifetimes.issuingMs)}, which has ${formatDurationMs(x509MsMax)} left at half life`;
    faults.push({ field: 'x509SvidTtlMs', code: 'entry_ttl', detail });
  }
  const { ttlMsMax } = jwt.lifetimes;
  if (jwtSvidTtlMs !== undefined && jwtSvidTtlMs > ttlMsMax) {
    const detail = `${formatDurationMs(jwtSvidTtlMs)} is more than a token may live, ${formatDurationMs(ttlMsMax)}`;
    faults.push({ field: 'jwtSvidTtlMs', code: 'entry_ttl', detail });
  }
  return faults;
}

/** Throws {@link AdminError} `entry_ttl`. */
export function checkTtl(deps: TtlDeps, draft: TtlDraft): void {
  const faults = ttlFaults(deps, draft);
  if (faults.length === 0) return;
  throw new AdminError(
    'invalid_argument',
    'entry_ttl',
    faults.map(({ field, detail }) => `${field.replace('Ms', 'Seconds')}: ${detail}`).join('; '),
    'ask for less, or lengthen lifetimes.issuing or jwt.ttlMax of the CA',
  );
}
