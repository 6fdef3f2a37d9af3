/** How much of the machine signing may use beside the thread that does everything else. */

import { availableParallelism } from 'node:os';
import { inlineSignatures, pooledSignatures, type Signatures } from '../../pki/index.ts';

/** `workers` as configured; without a word from the operator one core stays for the main thread. */
export function openSignatures(
  workers: number = Math.min(availableParallelism() - 1, signingWorkersMax),
): Signatures {
  return workers === 0 ? inlineSignatures : pooledSignatures(workers);
}

// Node's pool has four threads, and the audit log needs one to reach the disk.
export const signingWorkersMax = 3;
