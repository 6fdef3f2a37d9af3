/**
 * Keeps the memory of this process, which holds private keys, to itself, and keys that are done with out of it.
 *
 * No core dump is written, and no process of the same user may read it (getrlimit(2) `RLIMIT_CORE`, prctl(2)
 * `PR_SET_DUMPABLE`); the superuser still can. Memory that is given back is overwritten at once (mallopt(3)
 * `M_PERTURB`): copies of a key in buffers of the runtime, of gRPC and of HTTP/2 are out of our reach, but all
 * of them come from this allocator. The runtime would cut small ones from a slab of 64 KiB that it keeps until the
 * slab is used up, which takes minutes at rest (`Buffer.poolSize`); here it may not. What is freed on another thread, or
 * rests in a cache of glibc's, is the matter of how the program was begun (`cli/clean-allocator.ts`).
 */

import { Buffer } from 'node:buffer';
import koffi from 'koffi';
import { createCollector, describeError, type Logger } from '../core/index.ts';

/**
 * Has the collector find what nobody refers to any more; with `giveBack` also the room that it took, which stops
 * the process for two or three times as long (`rested-memory.ts`).
 */
export type MemorySweep = (how?: 'giveBack') => void;

/**
 * To be called first in a program, before it has anything to hide. What the system does not do is logged.
 */
export function protectProcess(log: Logger): MemorySweep {
  const failed = (what: string, reason: unknown): void =>
    log.warn(`memory is not protected as it should be: ${what}`, { reason });
  let trim: unknown;
  if (process.platform === 'linux') {
    const libc = koffi.load(null);
    try {
      const setrlimit: unknown = libc.func('int setrlimit(int, void*)');
      const prctl: unknown = libc.func(
        'int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)',
      );
      // Soft and hard limit, both 0: it cannot be taken back either.
      if (called(setrlimit, rlimitCore, Buffer.alloc(16)) !== 0) {
        failed('core dumps stay possible', `errno ${koffi.errno()}`);
      }
      if (called(prctl, setDumpable, 0, 0, 0, 0) !== 0) {
        failed('the process stays dumpable', `errno ${koffi.errno()}`);
      }
      const mallopt: unknown = libc.func('int mallopt(int, int)');
      if (called(mallopt, perturb, perturbByte) !== 1)
        failed('freed memory stays as it was', 'mallopt');
      // Only a matter of size: what one thread gives back another may then take.
      called(mallopt, arenaMax, arenas);
      trim = libc.func('int malloc_trim(unsigned long)');
    } catch (error) {
      // Another C library, which lacks one of them.
      failed('a call is missing', describeError(error));
    }
  } else {
    failed('this system has no such calls', process.platform);
  }
  Buffer.poolSize = 0;
  // The runtime collects when it needs memory, which an agent at rest does not: a key would stay for hours.
  const collector = createCollector();
  return (how) => {
    if (how === undefined) {
      collector.collect();
      return;
    }
    collector.giveBack();
    if (trim !== undefined) called(trim, 0);
  };
}

function called(native: unknown, ...values: readonly (number | object)[]): unknown {
  if (typeof native !== 'function') throw new TypeError('no function');
  const result: unknown = native(...values);
  return result;
}

const rlimitCore = 4;
const setDumpable = 4;
const perturb = -6;
const perturbByte = 0xa5;
const arenaMax = -8;
// Eight for each core else, each with what it has not given back; an agent's threads seldom allocate at once.
const arenas = 2;
