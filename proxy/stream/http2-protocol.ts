/** HTTP/2 in STREAM: many exchanges side by side on a connection. */

import { http2Codec } from '../protocol/http2/http2-codec.ts';
import type { MultiplexProtocol } from './exchange-protocol.ts';
import { Http2ClientConnection } from './http2-client-connection.ts';
import { Http2ServerConnection } from './http2-server-connection.ts';

export const http2Protocol: MultiplexProtocol = {
  codec: http2Codec,
  serve: (connection, listener, owner, deps) =>
    new Http2ServerConnection(connection, listener, owner, deps),
  connect: (connection, generation, owner, deps) =>
    new Http2ClientConnection(connection, generation, owner, deps),
};
