/** File systems of a test's own, in memory or in a file, where the machine lets it mount one. */

import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, truncateSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

/** False if this user may not mount. */
export function mountSmallDisk(path: string, size: string): boolean {
  try {
    execFileSync(mountProgram, ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], {
      stdio: 'pipe',
    });
    return true;
  } catch {
    return false;
  }
}

export function resizeSmallDisk(path: string, size: string): void {
  execFileSync(mountProgram, ['-o', `remount,size=${size}`, path]);
}

/** Nothing can be written to it until it is `rw` again. False if the kernel keeps it as it is. */
export function remountSmallDisk(path: string, mode: 'ro' | 'rw'): boolean {
  try {
    execFileSync(mountProgram, ['-o', `remount,${mode}`, path], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

export function unmountSmallDisk(path: string): void {
  execFileSync(unmountProgram, [path]);
}

/**
 * A disk of blocks with ext4 on it, from a file. Its kernel stops writing to it when told of a fault of the
 * medium, under whatever runs: the one way in which a live file system becomes read-only by itself. Undefined
 * where the machine does not let a test mount one.
 */
export function mountFallibleDisk(image: string, path: string): { fail(): void } | undefined {
  try {
    writeFileSync(image, '');
    truncateSync(image, fallibleBytes);
    execFileSync(formatProgram, ['-q', '-F', image], { stdio: 'pipe' });
    mountFallibleAgain(image, path);
    const source = execFileSync(findProgram, ['-no', 'SOURCE', path], { encoding: 'utf8' }).trim();
    const fault = `/sys/fs/ext4/${basename(source)}/trigger_fs_error`;
    accessSync(fault);
    return { fail: () => writeFileSync(fault, '1') };
  } catch {
    return undefined;
  }
}

/** After its repair, as an operator does it. */
export function mountFallibleAgain(image: string, path: string): void {
  execFileSync(mountProgram, ['-o', 'loop,errors=remount-ro', image, path], { stdio: 'pipe' });
}

export function repairFallibleDisk(image: string): void {
  // 1: faults were mended.
  const { status } = spawnSync(repairProgram, ['-fy', image], { stdio: 'pipe' });
  if (status !== 0 && status !== 1) throw new Error(`fsck.ext4: ${status}`);
}

const fallibleBytes = 64 * 1024 * 1024;
const mountProgram = 'mount';
const unmountProgram = 'umount';
const formatProgram = 'mkfs.ext4';
const findProgram = 'findmnt';
const repairProgram = 'fsck.ext4';
