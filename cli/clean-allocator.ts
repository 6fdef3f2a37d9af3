/**
 * Begins a program anew, as the same process, with an allocator that keeps no freed memory as it was.
 *
 * glibc hands freed chunks of up to a kilobyte to a cache of each thread before it overwrites them (mallopt(3)
 * `M_PERTURB` does not reach them), and that cache can be switched off only by the environment that a process starts
 * with. A named secret, or the key in an answer of the Workload API, is that small.
 */

import process from 'node:process';

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment to begin anew with; undefined if this one says already what the cache is to hold. */
export function cleanAllocatorEnvironment(env: Environment): Record<string, string> | undefined {
  const tunables = env[variable] ?? '';
  // An operator's own word on it counts; and it is what a program that has begun anew finds.
  if (tunables.split(':').some((each) => each.startsWith(`${cacheSize}=`))) return undefined;
  const set = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  const own = tunables === '' ? [] : [tunables];
  return { ...Object.fromEntries(set), [variable]: [...own, `${cacheSize}=0`].join(':') };
}

/**
 * Does not return where it begins anew: with the same arguments, the same process id and the same open streams.
 * To be called before there is anything to lose. Where the system cannot do that, the program simply goes on.
 */
export function beginWithCleanAllocator(): void {
  if (process.platform !== 'linux' || process.execve === undefined) return;
  const env = cleanAllocatorEnvironment(process.env);
  if (env === undefined) return;
  const { execPath, execArgv, argv } = process;
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], env);
}

// glibc's manual, "Memory Allocation Tunables".
const variable = 'GLIBC_TUNABLES';
const cacheSize = 'glibc.malloc.tcache_count';
