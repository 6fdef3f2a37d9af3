/** Request targets that an HTTP parser lets through although no URL can be made of them. */

import { once } from 'node:events';
import { connect, type NetConnectOpts } from 'node:net';

export const hostileTargets = ['//', '///', 'http://[', 'http://a:99999/'] as const;

/** The first line of what is answered to `GET <target>`, sent as it is; empty if nothing is. */
export async function statusLineOf(address: NetConnectOpts, target: string): Promise<string> {
  const socket = connect(address);
  const bytes: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => bytes.push(chunk));
  socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await once(socket, 'close');
  return Buffer.concat(bytes).toString('latin1').split('\r\n')[0] ?? '';
}
