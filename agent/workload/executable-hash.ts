/** SHA-256 of executables, each content hashed once. */

import { createHash } from 'node:crypto';
import { type Logger, toHex } from '../../core/index.ts';
import { type FileIdentity, identityKey, identityOf, openExecutable } from './proc.ts';

export interface ExecutableHashes {
  /**
   * The hash in hex of what `pid` runs, if that is still the file with `identity`; undefined if it is
   * not, cannot be read, or is too large.
   */
  hashOf(pid: number, identity: FileIdentity): Promise<string | undefined>;
}

export function createExecutableHashes(procRoot: string, log: Logger): ExecutableHashes {
  // Promises, so that a hundred processes of one binary that start together cost one read.
  const known = new Map<string, Promise<string | undefined>>();
  return {
    hashOf(pid, identity) {
      const key = identityKey(identity);
      const found = known.get(key);
      if (found !== undefined) return found;
      const hashing = hashExecutable(procRoot, pid, identity, log);
      known.set(key, hashing);
      evictOldest(known);
      hashing.then(
        // What one process hides another may show: only a result is kept.
        (hash) => hash === undefined && known.delete(key),
        () => known.delete(key),
      );
      return hashing;
    },
  };
}

async function hashExecutable(
  procRoot: string,
  pid: number,
  identity: FileIdentity,
  log: Logger,
): Promise<string | undefined> {
  if (identity.size > executableBytesMax) {
    log.warn('an executable is too large to hash', { pid, bytes: Number(identity.size) });
    return undefined;
  }
  const file = await openExecutable(procRoot, pid);
  if (file === undefined) return undefined;
  try {
    // The descriptor is asked, not the path: what is hashed is what was identified.
    if (identityKey(await identityOf(file)) !== identityKey(identity)) return undefined;
    const hash = createHash('sha256');
    const buffer = Buffer.alloc(chunkBytes);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, chunkBytes);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
    }
    // Written to meanwhile: the hash would be of neither content.
    if (identityKey(await identityOf(file)) !== identityKey(identity)) return undefined;
    return toHex(new Uint8Array(hash.digest()));
  } finally {
    await file.close();
  }
}

function evictOldest(known: Map<string, unknown>): void {
  const [oldest] = known.keys();
  if (known.size > hashesMax && oldest !== undefined) known.delete(oldest);
}

// Enough that the reads, not the calls, are the cost.
const chunkBytes = 1024 * 1024;
// Larger than the binaries of today with all they embed; a larger one would hold the disk for seconds.
const executableBytesMax = 1024n * 1024n * 1024n;
// More distinct programs than speak to one agent.
const hashesMax = 512;
