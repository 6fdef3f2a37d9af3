/** Counters: plain numbers, bumped where things happen and read by the admin port. */

import type { ListenerStats } from '../net/listener.ts';
import type { PoolStats } from '../stream/pool-ping-pong.ts';

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
}

/** Plain TCP through one listener. */
export interface RelayStats {
  relays: number;
  relaysFailed: number;
  bytesUpstream: number;
  bytesDownstream: number;
}

export type ListenerCounters = ListenerStats & RequestStats & RelayStats;

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
    tlsNotReady: 0,
    tlsHandshakes: 0,
    tlsHandshakesFailed: 0,
    tlsPeersRefused: 0,
    tlsPeersRevoked: 0,
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
    relays: 0,
    relaysFailed: 0,
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
    overflows: 0,
  };
}

/** Counts a final status in its class. */
export function countStatus(stats: RequestStats, status: number): void {
  if (status < 300) stats.responses2xx += 1;
  else if (status < 400) stats.responses3xx += 1;
  else if (status < 500) stats.responses4xx += 1;
  else stats.responses5xx += 1;
}
