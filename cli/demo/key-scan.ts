/** Looking for a private key in bytes: in every form in which one is usually written down. */

import { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../../core/index.ts';

/** The byte patterns that would betray one key. Held in memory only. */
export type KeyPatterns = readonly Buffer[];

/** Patterns for a P-256 private key: the scalar raw and in text, which every longer encoding contains. */
export function keyPatternsOf(key: KeyObject): KeyPatterns {
  const { d = '' } = key.export({ format: 'jwk' });
  const scalar = Buffer.from(d, 'base64url');
  const hex = scalar.toString('hex');
  return [
    scalar,
    Buffer.from(hex),
    Buffer.from(hex.toUpperCase()),
    ...base64Cores(scalar).flatMap((core) => [
      Buffer.from(core),
      Buffer.from(core.replaceAll('+', '-').replaceAll('/', '_')),
    ]),
  ];
}

export interface ScanResult {
  readonly files: number;
  readonly bytes: number;
  /** Which file held which key, by the key's position in the list. */
  readonly hits: readonly { readonly path: string; readonly key: number }[];
}

/** Reads every file below `directory` (but not below `except`) and looks for every key. */
export function scanFiles(
  directory: string,
  except: readonly string[],
  keys: readonly KeyPatterns[],
): ScanResult {
  let files = 0;
  let bytes = 0;
  const hits: { path: string; key: number }[] = [];
  for (const path of filesBelow(directory, except)) {
    const content = unlessGone(() => readFileSync(path));
    if (content === undefined) continue;
    files += 1;
    bytes += content.length;
    keys.forEach((patterns, key) => {
      if (containsKey(content, patterns)) hits.push({ path, key });
    });
  }
  return { files, bytes, hits };
}

/** PEM breaks base64 into lines, so the text is looked at with and without its line ends. */
export function containsKey(content: Buffer, patterns: KeyPatterns): boolean {
  if (patterns.some((pattern) => content.includes(pattern))) return true;
  const joined = Buffer.from(content.toString('latin1').replaceAll(/\\n|\s/g, ''), 'latin1');
  return joined.length !== content.length && patterns.some((pattern) => joined.includes(pattern));
}

// In base64 the same bytes look different at each of the three alignments; the first and last
// characters depend on the neighbours and are left out.
function base64Cores(bytes: Buffer): string[] {
  return [0, 1, 2].map((lead) => {
    const text = Buffer.concat([Buffer.alloc(lead), bytes])
      .toString('base64')
      .replaceAll('=', '');
    return text.slice(lead === 0 ? 0 : lead + 1, -2);
  });
}

function filesBelow(directory: string, except: readonly string[]): string[] {
  const entries = unlessGone(() => readdirSync(directory, { withFileTypes: true })) ?? [];
  return entries.flatMap((entry) => {
    const path = join(directory, entry.name);
    if (except.includes(path)) return [];
    if (entry.isDirectory()) return filesBelow(path, except);
    return entry.isFile() ? [path] : [];
  });
}

/** What a program that still runs replaced since it was listed is no file any more: the new one is listed beside it. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
