/** Who makes a call: known per connection, looked up by the opaque name that grpc-js calls the peer. */

import type { PeerCredentials, ProcessHandle } from './peer-credentials.ts';

/** A process on this machine. The kernel vouches for it. */
export interface UnixCaller extends PeerCredentials {
  readonly kind: 'unix';
  readonly connection: string;
  readonly process: ProcessHandle | undefined;
  /** Aborted when the connection ends. */
  readonly closed: AbortSignal;
}

/** A peer over TLS. `identity` is what the server's verifier made of its certificate, if it gave one. */
export interface TlsCaller {
  readonly kind: 'tls';
  readonly connection: string;
  readonly address: string;
  readonly identity: string | undefined;
  /** The leaf the peer proved possession of, DER. */
  readonly leaf: Uint8Array | undefined;
  readonly closed: AbortSignal;
  /** Ends the connection and every call on it: the peer is not to be served any longer. */
  disconnect(): void;
}

export type Caller = UnixCaller | TlsCaller;

/** The callers of one server, by connection. */
export class Callers {
  readonly #byConnection = new Map<string, Caller>();
  #last = 0;

  /** A name no connection of this server had before. It holds nothing of the caller, so it may be logged. */
  nextConnection(): string {
    this.#last += 1;
    return `connection-${this.#last}`;
  }

  add(caller: Caller): void {
    this.#byConnection.set(caller.connection, caller);
    caller.closed.addEventListener('abort', () => this.#byConnection.delete(caller.connection), {
      once: true,
    });
  }

  get(connection: string): Caller | undefined {
    return this.#byConnection.get(connection);
  }

  count(): number {
    return this.#byConnection.size;
  }
}
