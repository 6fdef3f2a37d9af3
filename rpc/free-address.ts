/** Whether an address could be listened on, for whoever writes to a disk before it listens. */

import { createServer } from 'node:net';
import { listening } from './server.ts';

/**
 * Takes the address for a moment and gives it back. Somebody may still take it before it is wanted; then listening
 * fails as it would have without this.
 *
 * Throws ListenError that names the address and the remedy.
 */
export async function ensureAddressFree(address: {
  readonly host: string;
  readonly port: number;
}): Promise<void> {
  // A free port is chosen when it is listened on.
  if (address.port === 0) return;
  const server = createServer();
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  await listening(server, { host: address.host, port: address.port }, `${host}:${address.port}`);
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
