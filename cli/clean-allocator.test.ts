import { expect, test } from 'vitest';
import { cleanAllocatorEnvironment } from './clean-allocator.ts';

const off = 'glibc.malloc.tcache_count=0';

test.for([
  { name: 'none', before: undefined, after: off },
  { name: 'an empty one', before: '', after: off },
  {
    name: 'one of something else',
    before: 'glibc.malloc.arena_max=2',
    after: `glibc.malloc.arena_max=2:${off}`,
  },
])('the cache is switched off beside what was set: $name', ({ before, after }) => {
  const env = { HOME: '/root', GLIBC_TUNABLES: before, NOTHING: undefined };
  expect(cleanAllocatorEnvironment(env)).toEqual({ HOME: '/root', GLIBC_TUNABLES: after });
});

test.for([off, `glibc.malloc.arena_max=2:${off}`, 'glibc.malloc.tcache_count=7'])(
  'who has said what the cache holds is left alone: %s',
  (value) => {
    expect(cleanAllocatorEnvironment({ GLIBC_TUNABLES: value })).toBeUndefined();
  },
);
