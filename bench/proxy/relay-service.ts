/**
 * The service behind the relay, a process of its own: takes all bytes of a client that sends, and sends to one that
 * takes. A client that sends is answered with one byte first, so that it knows that the whole way is there.
 *
 * Argument: the port.
 */

import { createServer } from 'node:net';
import { flood } from './relay-flood.ts';
import { directionBytes } from './relay-setting.ts';

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (bytes: Buffer) => {
    // From here on, whatever comes is dropped.
    socket.resume();
    if (bytes.toString('latin1', 0, 1) === directionBytes.down) flood(socket, () => {});
    else socket.write('.');
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
