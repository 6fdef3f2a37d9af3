/** The files of an audit log as of one checkpoint, while the log goes on being written. */

import { open, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { concatBytes, systemErrorCode, utf8Bytes } from '../../core/index.ts';
import { checkpointPath, readIfPresent } from '../audit/log-files.ts';
import { readLines } from '../audit/segment.ts';
import { tileWidth } from '../audit/tile.ts';
import { BackupError } from './backup-error.ts';

export interface SnapshotFile {
  /** Below the log's directory. */
  readonly path: string;
  readonly parts: () => AsyncIterable<Uint8Array>;
}

/**
 * Every file of the log in `directory` that its checkpoint speaks for, the last segment cut where the
 * checkpoint ends. Undefined as long as the checkpoint covers fewer than `sizeMin` records.
 */
export async function snapshotAuditLog(
  directory: string,
  sizeMin: number,
): Promise<readonly SnapshotFile[] | undefined> {
  const note = await readIfPresent(checkpointPath(directory));
  if (note === undefined) {
    throw new BackupError('backup_nothing', `${directory} holds no audit log`, {
      remedy: "give the CA's data directory",
    });
  }
  const size = sizeOf(note);
  if (size === undefined) {
    throw new BackupError('backup_audit_broken', `the checkpoint of ${directory} is damaged`, {
      remedy: 'examine the log with `signet audit verify`',
    });
  }
  if (size < sizeMin) return undefined;
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = names
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)));
  const begins = paths.flatMap((path) => segmentOf(path)?.firstIndex ?? []);
  const isCovered = (path: string): boolean => {
    const segment = segmentOf(path);
    if (segment === undefined) return isCoveredTile(path, size);
    const { firstIndex, suffix } = segment;
    // A seal speaks for a full segment: it holds if the next one begins within the checkpoint.
    if (suffix === 'seal') return begins.some((next) => next > firstIndex && next <= size);
    return firstIndex === 0 || firstIndex < size;
  };
  const files: SnapshotFile[] = [];
  for (const path of paths.toSorted()) {
    if (path === 'checkpoint' || path.endsWith('.new') || !isCovered(path)) continue;
    const file = await snapshotFile(directory, path, size);
    if (file !== undefined) files.push(file);
  }
  return [...files, { path: 'checkpoint', parts: () => once(utf8Bytes(note)) }];
}

async function snapshotFile(
  directory: string,
  path: string,
  size: number,
): Promise<SnapshotFile | undefined> {
  const whole = join(directory, path);
  const segment = segmentOf(path);
  if (segment?.suffix === 'jsonl') {
    return { path, parts: () => recordsOf(whole, size - segment.firstIndex) };
  }
  if (!path.includes('.p/')) return { path, parts: () => partsOf(whole) };
  // A partial tile is replaced by a wider one as the log grows, so it is read now. One that has gone by
  // then is made again from the records when the restored CA starts.
  try {
    const content = await readFile(whole);
    return { path, parts: () => once(new Uint8Array(content)) };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The number of records a checkpoint speaks of (C2SP tlog-checkpoint, line 2); its signature is not checked. */
function sizeOf(note: string): number | undefined {
  const digits = /^[^\n]*\n(0|[1-9]\d{0,14})\n/.exec(note)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function segmentOf(
  path: string,
): { readonly firstIndex: number; readonly suffix: string } | undefined {
  const [, digits, suffix = ''] = /^records-(\d{12})\.([a-z]+)$/.exec(path) ?? [];
  return digits === undefined ? undefined : { firstIndex: Number(digits), suffix };
}

/** A tile of records that are not in the backup would contradict those that take their place. */
function isCoveredTile(path: string, size: number): boolean {
  const [, level, number = '', width] =
    /^tile\/(\d)\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d+))?$/.exec(path) ?? [];
  if (level === undefined) return true;
  const first = Number(number.replaceAll(/\D/g, '')) * tileWidth;
  return (first + Number(width ?? tileWidth)) * tileWidth ** Number(level) <= size;
}

async function* recordsOf(path: string, recordsMax: number): AsyncGenerator<Uint8Array> {
  let left = recordsMax;
  for await (const { lines } of readLines(path)) {
    const taken = lines.slice(0, left);
    left -= taken.length;
    if (taken.length > 0) yield concatBytes(...taken.flatMap((line) => [line, newline]));
    if (left === 0) return;
  }
}

async function* partsOf(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(partBytes), 0, partBytes);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

const newline = Uint8Array.of(0x0a);
const partBytes = 256 * 1024;
