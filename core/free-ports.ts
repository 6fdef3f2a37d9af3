/** Ports for programs that must be told theirs before they start. */

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { systemErrorCode } from './errors.ts';

/**
 * `count` different ports that were free a moment ago on the loopback address. They lie below those that
 * the kernel gives to outgoing connections: one of those could take them again before they are used.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held = new Map<number, Server>();
  while (held.size < count) {
    const port = randomInt(portMin, portMax);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      held.set(port, server);
    } catch (error) {
      if (systemErrorCode(error) !== 'EADDRINUSE') throw error;
    }
  }
  const closed = [...held.values()].map((server) => once(server.close(), 'close'));
  await Promise.all(closed);
  return [...held.keys()];
}

const portMin = 10_240;
// Linux takes ephemeral ports from 32768 on.
const portMax = 32_768;
