/**
 * Pages of revocations. A place in the order is a time and a serial, so that a page goes on where the one before
 * ended though the revocation there has been forgotten meanwhile.
 */

import type { Revocation } from './revocation.ts';

export interface RevocationPage {
  readonly items: readonly Revocation[];
  /** Pass it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

export function pageOf(
  all: readonly Revocation[],
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): RevocationPage {
  const from = after === undefined ? undefined : placeIn(after);
  const rest = all
    .filter((each) => from === undefined || compare(from, each) < 0)
    .toSorted(compare);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return rest.length > limit && last !== undefined
    ? { items, next: `${last.revokedAtMs}.${last.serial}` }
    : { items };
}

type Place = Pick<Revocation, 'revokedAtMs' | 'serial'>;

function placeIn(after: string): Place {
  const [at = '', serial = ''] = after.split('.');
  return { revokedAtMs: Number(at), serial };
}

function compare(left: Place, right: Place): number {
  if (left.revokedAtMs !== right.revokedAtMs) return right.revokedAtMs - left.revokedAtMs;
  if (left.serial === right.serial) return 0;
  return left.serial < right.serial ? -1 : 1;
}
