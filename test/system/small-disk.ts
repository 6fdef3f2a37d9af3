/** A file system of a given size, in memory, where the machine lets a test mount one. */

import { execFileSync } from 'node:child_process';

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

export function unmountSmallDisk(path: string): void {
  execFileSync(unmountProgram, [path]);
}

const mountProgram = 'mount';
const unmountProgram = 'umount';
