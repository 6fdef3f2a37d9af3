/** The Node.js executable under a path of its own, so that its process can be told from others. */

import { chmodSync, copyFileSync, linkSync } from 'node:fs';
import { systemErrorCode } from '../../core/index.ts';

/** A hard link where the file system allows it, else a copy. Answers `path`. */
export function nodeUnderName(path: string): string {
  try {
    linkSync(process.execPath, path);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EACCES', 'EMLINK'].includes(systemErrorCode(error) ?? '')) throw error;
    copyFileSync(process.execPath, path);
    chmodSync(path, 0o755);
  }
  return path;
}
