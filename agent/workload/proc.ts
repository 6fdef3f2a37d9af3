/** What the kernel says of a process under `/proc/<pid>` (proc(5)). */

import { type FileHandle, open, readlink } from 'node:fs/promises';
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
export async function readProcessStatus(
  procRoot: string,
  pid: number,
): Promise<ProcessStatus | undefined> {
  const text = await readBounded(`${procRoot}/${pid}/status`);
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

/** The running executable, or undefined if this user may not look or the process is gone. */
export async function readExecutable(
  procRoot: string,
  pid: number,
): Promise<Executable | undefined> {
  const file = await openExecutable(procRoot, pid);
  if (file === undefined) return undefined;
  try {
    const identity = await identityOf(file);
    const stat = await file.stat();
    const path = await readlink(exePath(procRoot, pid)).catch(ignoreGone);
    return { path: stat.nlink === 0 ? undefined : path, identity };
  } finally {
    await file.close();
  }
}

/** The file that runs, whatever its path means here: the link leads to it across mount namespaces. */
export function openExecutable(procRoot: string, pid: number): Promise<FileHandle | undefined> {
  return open(exePath(procRoot, pid), 'r').catch(ignoreGone);
}

export async function identityOf(file: FileHandle): Promise<FileIdentity> {
  const stat = await file.stat({ bigint: true });
  return { device: stat.dev, inode: stat.ino, modifiedNs: stat.mtimeNs, size: stat.size };
}

export function identityKey({ device, inode, modifiedNs, size }: FileIdentity): string {
  return `${device}:${inode}:${modifiedNs}:${size}`;
}

function exePath(procRoot: string, pid: number): string {
  return `${procRoot}/${pid}/exe`;
}

async function readBounded(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch(ignoreGone);
  if (file === undefined) return undefined;
  try {
    // Files of proc say size 0, so the bound is on what is read.
    const buffer = Buffer.alloc(statusBytesMax);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      length += bytesRead;
      if (bytesRead === 0) return buffer.toString('latin1', 0, length);
      if (length === buffer.length) return undefined;
    }
  } catch (error) {
    return ignoreGone(error);
  } finally {
    await file.close();
  }
}

/** Gone (ENOENT, ESRCH) or hidden (EACCES, EPERM): either way there is nothing to say of it. */
function ignoreGone(error: unknown): undefined {
  const code = systemErrorCode(error);
  if (code === undefined || !goneCodes.has(code)) throw error;
}

const goneCodes: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);
// 65,536 supplementary groups (NGROUPS_MAX) of up to ten digits, and the rest.
const statusBytesMax = 1024 * 1024;
