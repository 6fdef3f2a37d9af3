/** How dead peers are found: a machine that lost its power or its network says nothing, not even a reset. */

/**
 * Options of a TCP socket. After so long without a word the kernel asks the peer, and gives it up after ten questions a
 * second apart, both of which libuv sets. The kernel's own two hours would hold descriptors and upstream connections for
 * as long; a minute is rare enough to cost an idle connection nothing.
 */
export const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const;
