/**
 * What the kernel says of a process under `/proc/<pid>` (proc(5)).
 *
 * Its `status`, its `cgroup` and where its `exe` leads are read at once: the kernel makes them up in
 * microseconds and waits for no disk, and a trip through Node's threads for each step costs ten times as much.
 * The executable itself may lie on a file system that hangs, and `mountinfo` waits for mounts under way.
 */

import { type BigIntStats, closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { systemErrorCode } from '../../core/index.ts';

export interface ProcessStatus {
  /** Effective ids, which is what `SO_PEERCRED` gives. */
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** One file's identity: two that are equal are the same content, as far as the file system can say. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly modifiedNs: bigint;
  readonly size: bigint;
}

export interface Executable {
  /** Undefined if the file has been unlinked: the path then names something else, or nothing. */
  readonly path: string | undefined;
  readonly identity: FileIdentity;
}

/** The parsed `status` file, or undefined if the process is gone or the text is not as proc(5) says. */
export function readProcessStatus(procRoot: string, pid: number): ProcessStatus | undefined {
  const text = readBounded(`${procRoot}/${pid}/status`);
  return text === undefined ? undefined : parseProcessStatus(text);
}

export function parseProcessStatus(text: string): ProcessStatus | undefined {
  // The name is the process's own choice, but the kernel escapes newlines in it: lines are the kernel's.
  const field = (name: string): readonly number[] | undefined => {
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
    if (line === undefined) return undefined;
    const numbers = line
      .slice(name.length + 1)
      .split(/\s+/)
      .filter((part) => part !== '');
    return numbers.every((part) => /^\d{1,10}$/.test(part)) ? numbers.map(Number) : undefined;
  };
  // Real, effective, saved set, file system.
  const uid = field('Uid')?.[1];
  const gid = field('Gid')?.[1];
  const groups = field('Groups');
  return uid === undefined || gid === undefined || groups === undefined
    ? undefined
    : { uid, gid, groups };
}

/** The `cgroup` file; undefined if it is gone, hidden or too large. */
export function readCgroupFile(procRoot: string, pid: number): string | undefined {
  return readBounded(`${procRoot}/${pid}/cgroup`);
}

/** The `mountinfo` file; undefined if it is gone, hidden or too large. */
export async function readMountinfo(procRoot: string, pid: number): Promise<string | undefined> {
  const file = await open(`${procRoot}/${pid}/mountinfo`, 'r').catch(ignoreGone);
  if (file === undefined) return undefined;
  const parts: Buffer[] = [];
  try {
    for (let length = 0; length < fileBytesMax; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(chunkBytes), 0, chunkBytes);
      if (bytesRead === 0) return Buffer.concat(parts).toString('latin1');
      parts.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
    }
    return undefined;
  } catch (error) {
    return ignoreGone(error);
  } finally {
    await file.close();
  }
}

/** The running executable, or undefined if this user may not look or the process is gone. */
export async function readExecutable(
  procRoot: string,
  pid: number,
): Promise<Executable | undefined> {
  // The path first: of a file that is unlinked in between nothing is said. Another program in between is seen
  // by whoever asks afterwards whether the process is still the same.
  const path = whereItLeads(exePath(procRoot, pid));
  const found = await stat(exePath(procRoot, pid), { bigint: true }).catch(ignoreGone);
  if (found === undefined) return undefined;
  return { path: found.nlink === 0n ? undefined : path, identity: identityOfStat(found) };
}

/** The file that runs, whatever its path means here: the link leads to it across mount namespaces. */
export function openExecutable(procRoot: string, pid: number): Promise<FileHandle | undefined> {
  return open(exePath(procRoot, pid), 'r').catch(ignoreGone);
}

export async function identityOf(file: FileHandle): Promise<FileIdentity> {
  return identityOfStat(await file.stat({ bigint: true }));
}

function identityOfStat({ dev, ino, mtimeNs, size }: BigIntStats): FileIdentity {
  return { device: dev, inode: ino, modifiedNs: mtimeNs, size };
}

export function identityKey({ device, inode, modifiedNs, size }: FileIdentity): string {
  return `${device}:${inode}:${modifiedNs}:${size}`;
}

function exePath(procRoot: string, pid: number): string {
  return `${procRoot}/${pid}/exe`;
}

function whereItLeads(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    return ignoreGone(error);
  }
}

function readBounded(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    // Files of proc say size 0, so the bound is on what is read.
    let buffer = Buffer.alloc(chunkBytes);
    let length = 0;
    for (;;) {
      const bytesRead = readSync(file, buffer, length, buffer.length - length, null);
      length += bytesRead;
      if (bytesRead === 0) return buffer.toString('latin1', 0, length);
      if (length === buffer.length) {
        if (length >= fileBytesMax) return undefined;
        buffer = Buffer.concat([buffer, Buffer.alloc(length)]);
      }
    }
  } catch (error) {
    return ignoreGone(error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Gone (ENOENT, ESRCH) or hidden (EACCES, EPERM): either way there is nothing to say of it. */
function ignoreGone(error: unknown): undefined {
  const code = systemErrorCode(error);
  if (code === undefined || !goneCodes.has(code)) throw error;
}

const goneCodes: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
// Nearly always enough; more of it until it is.
const chunkBytes = 4096;
// 65,536 supplementary groups (NGROUPS_MAX) of up to ten digits, and the rest.
const fileBytesMax = 1024 * 1024;
