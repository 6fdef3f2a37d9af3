/** What a listener counts. */

/** Counters of one listener. Plain numbers, written on the hot path and read by the admin port. */
export interface ListenerStats {
  connectionsAccepted: number;
  connectionsActive: number;
  connectionsOverLimit: number;
  connectionsOverSourceLimit: number;
  /** Closed because no filter chain takes them, plaintext on a strict listener among them. */
  connectionsUnmatched: number;
  /** Closed because their first bytes (PROXY header, ClientHello) were bad or did not come in time. */
  connectionsUnreadable: number;
  tlsNotReady: number;
  tlsHandshakes: number;
  tlsHandshakesFailed: number;
  tlsPeersRefused: number;
  /** Live connections that were ended because the peer's certificate was revoked. */
  tlsPeersRevoked: number;
  /** The same because the bundle of the peer's trust domain no longer vouches for it. */
  tlsPeersUntrusted: number;
  /** The same because our own certificate in it was replaced too long ago. */
  tlsSuperseded: number;
}
