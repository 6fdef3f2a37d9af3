/** HTTP/1.1 in STREAM: one exchange at a time on a connection. */

import { http1Codec } from '../protocol/http1/http1-codec.ts';
import { ClientConnection } from './client-connection.ts';
import type { PingPongProtocol } from './exchange-protocol.ts';
import { ServerConnection } from './server-connection.ts';

export const http1Protocol: PingPongProtocol = {
  codec: http1Codec,
  serve: (connection, listener, owner, deps) =>
    new ServerConnection(connection, listener, owner, deps.timeouts),
  connect: (connection, generation, owner, deps) =>
    new ClientConnection(connection, generation, owner, deps.timeouts),
};
