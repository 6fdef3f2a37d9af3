/** Finds out what a connection speaks, then hands it to whoever serves that. */

import { Buffer } from 'node:buffer';
import type { Connection, ConnectionListener } from '../net/connection.ts';
import type { RefusalLog } from '../net/refusal-log.ts';
import { detectProtocol, protocolOfAlpn } from '../protocol/detect/detect-protocol.ts';
import type { ProtocolMatcher } from '../protocol/detect/protocol-matcher.ts';
import type { DetectionStats } from './stats.ts';

/** A row of the table, with who serves such connections. */
export interface ServedProtocol extends ProtocolMatcher {
  readonly serve: (connection: Connection) => void;
}

export interface DetectDeps {
  readonly protocols: readonly ServedProtocol[];
  /** Takes what speaks none of them; without it such a connection is closed. */
  readonly fallback: ((connection: Connection) => void) | undefined;
  /** Ports whose connections go to the fallback unseen. */
  readonly opaquePorts: ReadonlySet<number>;
  /** How long a client may take until it is known what it speaks. */
  readonly detectMsMax: number;
  readonly stats: DetectionStats;
  readonly refusals: Pick<RefusalLog, 'write'>;
}

/** Nothing is answered here, and what was read reaches whoever serves the connection. */
export function serveDetected(connection: Connection, deps: DetectDeps): void {
  const { protocols, fallback, opaquePorts } = deps;
  const port = connection.endpoints?.destination.port;
  if (fallback !== undefined && port !== undefined && opaquePorts.has(port)) {
    fallback(connection);
    return;
  }
  const agreed = protocolOfAlpn(protocols, connection.alpn);
  if (agreed === undefined) connection.attach(new Detecting(connection, deps));
  else agreed.serve(connection);
}

class Detecting implements ConnectionListener {
  readonly #connection: Connection;
  readonly #deps: DetectDeps;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(connection: Connection, deps: DetectDeps) {
    this.#connection = connection;
    this.#deps = deps;
    connection.expireIn(deps.detectMsMax);
  }

  onData(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    const detection = detectProtocol(this.#deps.protocols, this.#bytes);
    if (detection.kind === 'detected') this.#handOver(detection.matcher.serve);
    else if (detection.kind === 'unknown') this.#giveUp('it speaks no protocol of this listener');
  }

  onDrain(): void {}

  /** The client says no more, which is all there will be to know it by. */
  onEnd(): void {
    if (this.#bytes.length === 0) this.#connection.destroy();
    else this.#giveUp('it ended before its protocol was known');
  }

  /** A client that waits for the server to begin is silent, too. */
  onDeadline(): void {
    this.#giveUp('its protocol was not known in time');
  }

  onClose(): void {}

  #giveUp(reason: string): void {
    const { fallback, stats, refusals } = this.#deps;
    stats.protocolsUnknown += 1;
    if (fallback !== undefined) {
      this.#handOver(fallback);
      return;
    }
    refusals.write('protocolsUnknown', this.#connection.remoteAddress, reason);
    this.#connection.destroy(reason);
  }

  #handOver(serve: (connection: Connection) => void): void {
    this.#connection.neverExpire();
    this.#connection.putBack(this.#bytes);
    serve(this.#connection);
  }
}
