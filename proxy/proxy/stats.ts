/** Counters: plain numbers, bumped where things happen and read by the admin port. */

import type { ListenerStats } from '../net/listener-stats.ts';
import type { PoolStats } from '../stream/pool.ts';

/** Requests of one listener, whatever became of them. */
export interface RequestStats {
  requests: number;
  /** Refused by the codec: no byte of them went anywhere. */
  requestsRefused: number;
  responses2xx: number;
  responses3xx: number;
  responses4xx: number;
  responses5xx: number;
  /** Answers of the proxy itself, counted in the classes above too. */
  localReplies: number;
  clientAborts: number;
  /** Responses that broke off after they had begun. */
  responsesCutOff: number;
  retries: number;
  /** Connections that were ended because nothing came on them. */
  idleTimeouts: number;
  /** Heads and bodies of requests that came too slowly: 408. */
  headTimeouts: number;
  bodyTimeouts: number;
  /** Responses that the client did not take; counted as aborts too, unless we had nothing more to say. */
  readTimeouts: number;
  /** HTTP/2 clients that did not answer a PING: they are gone, and have not said so. */
  peersLost: number;
  /** Responses that did not come in time, or stopped. */
  responseTimeouts: number;
  /** Requests that took longer than their route allows, tries that did, and calls whose own deadline has passed. */
  requestTimeouts: number;
  tryTimeouts: number;
  grpcTimeouts: number;
  /** Tunnels through which nothing went. */
  tunnelTimeouts: number;
  /** Heads beyond the bounds on their size: 414 and 431. */
  headsTooLarge: number;
  /** HTTP/2 clients that broke the protocol's rules or flooded us, and were left. */
  protocolErrors: number;
  /** Requests answered by a change of protocol, or by 2xx to CONNECT; their bytes are counted as a relay's. */
  tunnelsOpened: number;
  tunnelsActive: number;
}

/** Plain TCP through one listener. */
export interface RelayStats {
  relays: number;
  /** There was no upstream connection. */
  relaysFailed: number;
  /** Relays that one of the sides, or we, broke off. */
  relaysCutOff: number;
  /** Relays through which nothing went; counted as cut off too. */
  relayTimeouts: number;
  bytesUpstream: number;
  bytesDownstream: number;
}

/** What a listener with `protocol: auto` does not recognise. */
export interface DetectionStats {
  /** Relayed to the fallback, or closed where there is none. */
  protocolsUnknown: number;
}

export type ListenerCounters = ListenerStats & RequestStats & RelayStats & DetectionStats;

export interface ProxyStats {
  readonly listeners: Map<string, ListenerCounters>;
  readonly clusters: Map<string, PoolStats>;
}

export function createProxyStats(): ProxyStats {
  return { listeners: new Map(), clusters: new Map() };
}

export function createListenerCounters(): ListenerCounters {
  return {
    connectionsAccepted: 0,
    connectionsActive: 0,
    connectionsOverLimit: 0,
    connectionsOverSourceLimit: 0,
    connectionsUnmatched: 0,
    connectionsUnreadable: 0,
    tlsNotReady: 0,
    tlsHandshakes: 0,
    tlsHandshakesFailed: 0,
    tlsPeersRefused: 0,
    tlsPeersRevoked: 0,
    tlsPeersUntrusted: 0,
    tlsSuperseded: 0,
    protocolsUnknown: 0,
    requests: 0,
    requestsRefused: 0,
    responses2xx: 0,
    responses3xx: 0,
    responses4xx: 0,
    responses5xx: 0,
    localReplies: 0,
    clientAborts: 0,
    responsesCutOff: 0,
    retries: 0,
    idleTimeouts: 0,
    headTimeouts: 0,
    bodyTimeouts: 0,
    readTimeouts: 0,
    peersLost: 0,
    responseTimeouts: 0,
    requestTimeouts: 0,
    tryTimeouts: 0,
    grpcTimeouts: 0,
    tunnelTimeouts: 0,
    headsTooLarge: 0,
    protocolErrors: 0,
    tunnelsOpened: 0,
    tunnelsActive: 0,
    relays: 0,
    relaysFailed: 0,
    relaysCutOff: 0,
    relayTimeouts: 0,
    bytesUpstream: 0,
    bytesDownstream: 0,
  };
}

export function createPoolStats(): PoolStats {
  return {
    connectionsOpened: 0,
    connectionsFailed: 0,
    connectionsActive: 0,
    connectionsIdle: 0,
    peersRefused: 0,
    peersRevoked: 0,
    peersUntrusted: 0,
    superseded: 0,
    overflows: 0,
    waitTimeouts: 0,
    endpointsPassedOver: 0,
    protocolErrors: 0,
  };
}

/** Counts a final status in its class. */
export function countStatus(stats: RequestStats, status: number): void {
  if (status < 300) stats.responses2xx += 1;
  else if (status < 400) stats.responses3xx += 1;
  else if (status < 500) stats.responses4xx += 1;
  else stats.responses5xx += 1;
}
