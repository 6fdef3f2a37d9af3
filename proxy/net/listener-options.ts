/** What a listener is told, and what all its connections share. */

import type { Clock, Logger } from '../../core/index.ts';
import type { Address } from './address.ts';
import type { AddressRanges } from './address-ranges.ts';
import type { ConnectionCount, SourceCounts } from './connection-limits.ts';
import type { ConnectionDeps } from './connection.ts';
import type { FilterChain } from './filter-chain.ts';
import type { ListenerStats } from './listener-stats.ts';
import type { RefusalLog } from './refusal-log.ts';

/** A port of the machine, or a socket in the file system. */
export type ListenAddress = Address | { readonly path: string };

export interface ListenerOptions {
  readonly name: string;
  readonly address: ListenAddress;
  /** Lets other processes listen on the same port; the kernel shares connections out among them. */
  readonly reusePort: boolean;
  readonly connectionsMax: number;
  readonly connectionsPerSourceMax: number;
  /** Who must, and who alone may, begin with a PROXY header; undefined if nobody. */
  readonly proxyProtocolFrom: AddressRanges | undefined;
  /** Asks the kernel where a redirected connection was going, and takes that for its destination. */
  readonly originalDestination: boolean;
  readonly chains: readonly FilterChain[];
}

export interface ListenerDeps extends ConnectionDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
  readonly stats: ListenerStats;
  /** Connections of all listeners together. */
  readonly connections: ConnectionCount;
  readonly firstBytesMsMax: number;
  readonly handshakeMsMax: number;
}

/** What all connections of one listener share. */
export interface ListenerState {
  readonly options: ListenerOptions;
  readonly deps: ListenerDeps;
  readonly sources: SourceCounts;
  readonly refusals: RefusalLog;
  readonly inspects: boolean;
}
