/** User and group names from `/etc/passwd` and `/etc/group` (passwd(5), group(5)), read with bounds. */

import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type Logger, systemErrorCode } from '../../core/index.ts';

/** Names by number. The first line of a number wins, as with getpwuid(3). */
export type AccountNames = ReadonlyMap<number, string>;

export interface AccountFile {
  names(): Promise<AccountNames>;
}

/**
 * Reads `path` again only when it has changed. A file that is missing or too large has no names: the
 * selectors by number stay, and the reason is logged.
 */
export function accountFile(path: string, log: Logger): AccountFile {
  let known: { readonly key: string; readonly names: AccountNames } | undefined;
  return {
    async names() {
      try {
        // Asked for each connection: what has not changed is not opened.
        if (known?.key === keyOf(await stat(path, { bigint: true }))) return known.names;
        const file = await open(path, 'r');
        try {
          const found = await file.stat({ bigint: true });
          const key = keyOf(found);
          if (found.size > fileBytesMax) {
            log.warn('an account file is too large to read', { path, bytes: Number(found.size) });
            known = { key, names: new Map() };
            return known.names;
          }
          known = { key, names: parseAccountNames(await file.readFile('utf8')) };
          return known.names;
        } finally {
          await file.close();
        }
      } catch (error) {
        if (systemErrorCode(error) === undefined) throw error;
        log.warn('an account file cannot be read', { path, reason: systemErrorCode(error) });
        return new Map();
      }
    },
  };
}

function keyOf({ dev, ino, mtimeNs, size }: BigIntStats): string {
  return `${dev}:${ino}:${mtimeNs}:${size}`;
}

/** Both files begin `name:password:number:`; a line that does not is skipped. */
export function parseAccountNames(text: string): AccountNames {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const match = linePattern.exec(line);
    if (match === null) continue;
    const number = Number(match[2]);
    if (number <= idMax && !names.has(number)) names.set(number, match[1] ?? '');
  }
  return names;
}

// A name with a colon or a control character in it could be read as another selector.
const linePattern = /^([^:\s\p{Cc}+-][^:\s\p{Cc}]{0,255}):[^:]*:(\d{1,10})(?::|$)/u;
const idMax = 2 ** 32 - 1;
// Tens of thousands of local accounts. Directories with more are not served from a file.
const fileBytesMax = 4 * 1024 * 1024;
