/** The `cache:` section of the agent's configuration: where the sealed cache is, and what its key comes from. */

import { isAbsolute } from 'node:path';
import { z } from 'zod';

export type CacheKeyConfig =
  /**
   * The first that this machine has of keyring, file on a tmpfs, systemd credential; for root the file before the
   * keyring, which for root is no place of its own: see `placesInOrder` in `cache-key.ts`. None: no cache.
   */
  | { readonly kind: 'auto' }
  | { readonly kind: 'keyring' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'credential'; readonly name: string };

export type CacheConfig =
  | { readonly kind: 'off' }
  /** Without a path it stands in the agent's private directory. */
  | { readonly kind: 'on'; readonly path?: string; readonly key: CacheKeyConfig };

const pathField = z.string().refine((path) => isAbsolute(path), 'is not an absolute path');
// systemd.exec(5): a credential's name is a file name.
const nameField = z.string().regex(/^(?!\.{1,2}$)[^/\0]+$/, 'is not a file name');

const keyField = z
  .union([
    z.literal(['auto', 'keyring']),
    z.strictObject({ file: pathField }),
    z.strictObject({ credential: nameField }),
  ])
  .transform((key): CacheKeyConfig => {
    if (typeof key === 'string') return { kind: key };
    if ('file' in key) return { kind: 'file', path: key.file };
    return { kind: 'credential', name: key.credential };
  })
  .default({ kind: 'auto' });

/** `off`, or a section; `key: off` is another way to say `off`. Absent: on, with the first key there is. */
export const cacheField = z
  .union([
    z.literal(['off', false]).transform((): CacheConfig => ({ kind: 'off' })),
    z
      .strictObject({ path: pathField.optional(), key: z.literal(['off', false]) })
      .transform((): CacheConfig => ({ kind: 'off' })),
    z.strictObject({ path: pathField.optional(), key: keyField }).transform(
      ({ path, key }): CacheConfig => ({
        kind: 'on',
        key,
        ...(path === undefined ? {} : { path }),
      }),
    ),
  ])
  .default({ kind: 'on', key: { kind: 'auto' } });
