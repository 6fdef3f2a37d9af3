/** Segment files on a real disk that fills up, loses syncs or refuses to shrink when it is told to. */

import { type OpenSegmentFile, openSegmentFile } from '../../ca/audit/segment-file.ts';

export class FaultyDisk {
  /** What fails from now on. A full disk takes half of what it is given before it says so. */
  failing: 'nothing' | 'write' | 'sync' | 'truncate' | 'write_and_truncate' | 'open' = 'nothing';
  syncs = 0;
  /** Each sync waits for this first, so that a test can hold one up. */
  gate: Promise<void> = Promise.resolve();

  readonly open: OpenSegmentFile = async (path) => {
    if (this.failing === 'open') throw systemError('ENOSPC');
    const file = await openSegmentFile(path);
    return {
      write: async (bytes, offset) => {
        if (this.failing !== 'write' && this.failing !== 'write_and_truncate') {
          return file.write(bytes, offset);
        }
        await file.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), offset);
        throw systemError('ENOSPC');
      },
      sync: async () => {
        this.syncs += 1;
        await this.gate;
        if (this.failing === 'sync') throw systemError('EIO');
        return file.sync();
      },
      truncate: async (size) => {
        if (this.failing === 'truncate' || this.failing === 'write_and_truncate') {
          throw systemError('EIO');
        }
        return file.truncate(size);
      },
      close: () => file.close(),
    };
  };
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: rehearsed`), { code });
}
