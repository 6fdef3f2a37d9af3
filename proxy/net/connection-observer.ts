/** How a connection ended, for whoever asked. Where nobody did, it costs one look at an empty field. */

/**
 * `ended`: both sides had said that they send nothing more. `reset`: the peer broke it off, or the network did.
 * `dropped`: we did, by a timeout or a refusal or because what it was for was over.
 */
export type ConnectionEnd = 'ended' | 'reset' | 'dropped';

export interface ConnectionClosed {
  readonly end: ConnectionEnd;
  /** One line, where it ended by a fault. */
  readonly reason: string | undefined;
  /** Application bytes, each way. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

export interface ConnectionObserver {
  /** Once, after the connection's listener was told. */
  onClosed(closed: ConnectionClosed): void;
}
