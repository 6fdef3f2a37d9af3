/**
 * What the C library is asked about the memory of a process that has keys in it but no use for a perturbing allocator,
 * which costs a byte stream its speed: that none of it comes into a core dump, and little of it is kept unused.
 *
 * The process stays dumpable (prctl(2) `PR_SET_DUMPABLE`), because an agent of the same user has to see what it runs.
 */

import { Buffer } from 'node:buffer';
import koffi from 'koffi';
import { describeError, type Logger } from '../core/index.ts';

/** To be called first in a program. What the system cannot do is logged. */
export function restrainMemory(log: Logger): void {
  if (process.platform !== 'linux') return;
  try {
    const libc = koffi.load(null);
    const setrlimit = libc.func('int setrlimit(int, void*)');
    const limits = Buffer.alloc(16);
    limits.writeBigUInt64LE(coreBytesMax, 0);
    limits.writeBigUInt64LE(coreBytesMax, 8);
    if (setrlimit(rlimitCore, limits) !== 0) {
      log.warn('core dumps stay possible', { reason: `errno ${koffi.errno()}` });
    }
    libc.func('int mallopt(int, int)')(arenaMax, arenas);
  } catch (error) {
    // Another C library, which lacks one of them.
    log.warn('memory is not restrained', { reason: describeError(error) });
  }
}

// core(5): a limit of 0 stops a file but not a program that takes dumps; one byte, too little for any dump, stops both.
const coreBytesMax = 1n;
const rlimitCore = 4;
const arenaMax = -8;
// Eight for each core else, each with what it has not given back; all but one thread of a proxy seldom allocate.
const arenas = 2;
