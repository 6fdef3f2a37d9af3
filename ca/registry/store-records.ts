/** Reading pages of records, and changing one while others may change it too. */

import type { Store, StoreItem } from '../store/store.ts';
import type { RecordCodec } from './record-codec.ts';
import { RegistryError } from './registry-error.ts';

export interface PageQuery<Value> {
  readonly prefix: string;
  readonly codec: RecordCodec<Value>;
  /** What a caller passes as `after`: the key without its prefix. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly accept?: (value: Value) => boolean;
}

/** One page of accepted records, in the order of their keys; `next` if there are more. */
export async function readPage<Value>(
  store: Store,
  query: PageQuery<Value>,
): Promise<{ readonly items: readonly Value[]; readonly next?: string }> {
  const { prefix, codec, accept = () => true } = query;
  const limit = Math.min(Math.max(1, query.limit ?? pageSizeDefault), pageSizeMax);
  const found: { readonly key: string; readonly value: Value }[] = [];
  let after = query.after === undefined ? undefined : prefix + query.after;
  for (;;) {
    const page: readonly StoreItem[] = (
      await store.range({ prefix, limit: pageSizeMax, ...(after === undefined ? {} : { after }) })
    ).items;
    for (const item of page) {
      const value = codec.decode(item);
      if (accept(value)) found.push({ key: item.key.slice(prefix.length), value });
      // One more than asked for tells that there is a next page.
      if (found.length > limit) break;
    }
    after = page.at(-1)?.key;
    if (found.length > limit || page.length < pageSizeMax) break;
  }
  const items = found.slice(0, limit).map(({ value }) => value);
  const last = found[limit - 1];
  return found.length > limit && last !== undefined ? { items, next: last.key } : { items };
}

/**
 * Runs `attempt` until it answers something, for when another writer came between its read and its
 * commit. Throws {@link RegistryError} `registry_busy` when that happens too often.
 */
export async function untilSettled<Result>(
  attempt: () => Promise<Result | 'conflict'>,
): Promise<Result> {
  for (let count = 0; count < attemptsMax; count += 1) {
    const result = await attempt();
    if (result !== 'conflict') return result;
  }
  throw new RegistryError('registry_busy', `${attemptsMax} other changes came between`, {
    remedy: 'try again',
  });
}

const pageSizeDefault = 100;
const pageSizeMax = 1000;
// Each lost attempt means that another writer's change was stored, so this many are a crowd.
const attemptsMax = 16;
