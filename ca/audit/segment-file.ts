/** The file that records are appended to, as a port, so that a full disk can be rehearsed. */

import { constants, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from '../../core/index.ts';

export interface SegmentFile {
  /** Writes all of `bytes` at `offset`. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** Resolves when what was written survives a power cut (fdatasync). */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export type OpenSegmentFile = (path: string) => Promise<SegmentFile>;

/** Opens or creates the file; its name is durable before this resolves. */
export const openSegmentFile: OpenSegmentFile = async (path) => {
  // Not append mode: it ignores offsets, and the log must be able to write over a torn end.
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  await syncDirectory(dirname(path));
  return {
    async write(bytes, offset) {
      for (let written = 0; written < bytes.length; ) {
        const part = bytes.subarray(written);
        const { bytesWritten } = await handle.write(part, 0, part.length, offset + written);
        written += bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    truncate: (size) => handle.truncate(size),
    close: () => handle.close(),
  };
};
