/** Filter chains: how a listener treats a connection, chosen by what is known before a byte of it is answered. */

import type { PeerPolicy } from '../../policies/index.ts';
import type { Endpoints } from './address.ts';
import type { AddressRanges } from './address-ranges.ts';
import type { Connection } from './connection.ts';
import type { ClientHello } from './inspector/client-hello.ts';
import type { TlsSource } from './mtls/tls-source.ts';

/** `strict` takes mutual TLS alone, `off` plaintext alone, `permissive` whichever comes. */
export type TlsMode = 'strict' | 'permissive' | 'off';

export interface ListenerTls {
  readonly source: TlsSource;
  readonly policy: PeerPolicy;
  /** Application protocols offered by ALPN; empty offers none. */
  readonly protocols: readonly string[];
}

/** What a connection must have; what is undefined may be anything. */
export interface ChainMatch {
  /** Names in lower case; `*.mesh.test` is every name below. A connection without a name has none of them. */
  readonly serverNames: readonly string[] | undefined;
  /** At least one of these is offered by ALPN. */
  readonly protocols: readonly string[] | undefined;
  readonly sources: AddressRanges | undefined;
  readonly destinations: AddressRanges | undefined;
  readonly destinationPorts: readonly number[] | undefined;
}

export interface FilterChain {
  readonly name: string;
  readonly match: ChainMatch;
  readonly mode: TlsMode;
  /** Given unless the mode is `off`. */
  readonly tls: ListenerTls | undefined;
  /** Destination ports whose servers are known to begin; undefined where no server of the chain ever does. */
  readonly serverFirstPorts: ReadonlySet<number> | undefined;
  readonly onConnection: (connection: Connection) => void;
}

export interface ConnectionFacts {
  readonly endpoints: Endpoints;
  readonly isTls: boolean;
  /** Undefined in plaintext, and where no chain asks for it. */
  readonly hello: ClientHello | undefined;
}

/** The first chain, in the order of the config, that a connection fits. */
export function chooseChain(
  chains: readonly FilterChain[],
  facts: ConnectionFacts,
): FilterChain | undefined {
  return chains.find((chain) => fits(chain, facts));
}

/** Whether the choice takes a look at the first bytes: TLS or not, or what a hello says. */
export function needsInspection(chains: readonly FilterChain[]): boolean {
  const asksHello = chains.some(
    ({ match }) => match.serverNames !== undefined || match.protocols !== undefined,
  );
  const modes = new Set(chains.map(({ mode }) => mode));
  return asksHello || modes.has('permissive') || modes.size > 1;
}

function fits({ mode, match }: FilterChain, facts: ConnectionFacts): boolean {
  if (facts.isTls ? mode === 'off' : mode === 'strict') return false;
  const { source, destination } = facts.endpoints;
  const { serverNames, protocols, sources, destinations, destinationPorts } = match;
  if (serverNames !== undefined && !hasName(serverNames, facts.hello?.serverName)) return false;
  if (protocols !== undefined && !protocols.some((each) => facts.hello?.protocols.includes(each))) {
    return false;
  }
  if (sources !== undefined && !sources.has(source.host)) return false;
  if (destinations !== undefined && !destinations.has(destination.host)) return false;
  return destinationPorts === undefined || destinationPorts.includes(destination.port);
}

function hasName(patterns: readonly string[], name: string | undefined): boolean {
  if (name === undefined) return false;
  return patterns.some((pattern) =>
    pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern,
  );
}
