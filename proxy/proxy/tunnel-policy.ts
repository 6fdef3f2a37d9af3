/** What may become a tunnel on one listener: protocols to upgrade to, and authorities to CONNECT to. */

import { allowedUpgrade } from '../protocol/http1/upgrade.ts';
import type { RequestHead } from '../stream/stream.ts';
import type { Cluster } from './cluster.ts';

export interface TunnelPolicy {
  /** Names in lower case. */
  readonly upgrades: ReadonlySet<string>;
  /** By `host:port` in lower case. */
  readonly connects: ReadonlyMap<string, ConnectTarget>;
}

export interface ConnectTarget {
  readonly cluster: Cluster;
  /** Whether we answer the CONNECT and dial an endpoint; else the cluster is sent it and answers. */
  readonly dials: boolean;
}

/**
 * What of the client's offer the server is told. RFC 9110 §7.8: an offer may be ignored, and the request
 * is an ordinary one then. One with a body is ignored too: where the new protocol begins would depend on
 * where both ends see the body end.
 */
export function offeredUpgrade(head: RequestHead, { upgrades }: TunnelPolicy): string | undefined {
  // RFC 9113 §8.6: HTTP/2 knows no Upgrade.
  if (head.protocol === 'http2') return undefined;
  const { framing } = head;
  const hasBody = framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0);
  return hasBody ? undefined : allowedUpgrade(head.upgrade, upgrades);
}
