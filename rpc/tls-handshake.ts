/**
 * The server's half of TLS on a socket we accepted, under the certificate of this moment. Node's own TLS
 * server asks for a new certificate only when the client sends a server name, and clients that dial an IP
 * address may not send one (RFC 6066 §3).
 */

import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

export interface TlsHandshake {
  /** Undefined refuses the connection: there is no certificate to show. Its minimum version is 1.3. */
  readonly context: SecureContext | undefined;
  /** Offered by ALPN, in order of preference. */
  readonly protocols: readonly string[];
  /** Called once, before any byte of the peer is read. It has shown a certificate, or none; nobody judged it yet. */
  readonly onSecure: (socket: TLSSocket) => void;
  /** Called once instead; the socket is gone. */
  readonly onFailure: (reason: string) => void;
}

export function startTlsHandshake(socket: Socket, handshake: TlsHandshake): void {
  if (handshake.context === undefined) {
    socket.destroy();
    handshake.onFailure('there is no certificate to show');
    return;
  }
  const tlsSocket = new TLSSocket(socket, {
    isServer: true,
    secureContext: handshake.context,
    ALPNProtocols: [...handshake.protocols],
    requestCert: true,
    // Who came is judged by its own trust domain's bundle, not by a pooled store of roots.
    rejectUnauthorized: false,
  });
  let isOver = false;
  const fail = (reason: string): void => {
    if (isOver) return;
    isOver = true;
    tlsSocket.destroy();
    handshake.onFailure(reason);
  };
  tlsSocket.setTimeout(silenceMsMax, () => fail('the peer was silent during its handshake'));
  tlsSocket.on('error', (error) => fail(error.message));
  tlsSocket.once('close', () => fail('the peer closed during its handshake'));
  tlsSocket.once('secure', () => {
    if (isOver) return;
    isOver = true;
    tlsSocket.setTimeout(0);
    // Node's TLS server sets it at this moment, and HTTP/2 waits for it.
    Object.assign(tlsSocket, { secureConnecting: false });
    handshake.onSecure(tlsSocket);
  });
}

// A peer that sends nothing for so long in the middle of its handshake holds a descriptor for nothing.
const silenceMsMax = 10_000;
