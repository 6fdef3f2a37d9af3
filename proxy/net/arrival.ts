/**
 * From an accepted socket to a {@link Connection} in the hands of its filter chain: who stands before us, who
 * connects and where to, TLS or not, then the handshake. Nothing is answered before the chain is known.
 */

import type { Socket } from 'node:net';
import { readOriginalDestination } from '../../rpc/index.ts';
import { addressOf, addressText, type Endpoints, isSameAddress } from './address.ts';
import { Connection } from './connection.ts';
import { chooseChain, type FilterChain, type ListenerTls } from './filter-chain.ts';
import { type FirstBytesStage, readFirstBytes } from './first-bytes.ts';
import { inspectorStage, proxyHeaderStage } from './first-stages.ts';
import type { ClientHello } from './inspector/client-hello.ts';
import type { ListenerState } from './listener-options.ts';
import type { ListenerStats } from './listener-stats.ts';
import { type AcceptOutcome, acceptTls } from './mtls/accept-tls.ts';

/** What is known of a connection so far. */
interface Arrival {
  readonly socket: Socket;
  endpoints: Endpoints;
  isTls: boolean;
  hello: ClientHello | undefined;
  /** Whether a PROXY header will say where it comes from, so that its own address is that of many. */
  readonly awaitsHeader: boolean;
}

/** Ends with the chain's `onConnection`, or with the socket destroyed and counted. */
export function arrive(socket: Socket, state: ListenerState): void {
  const { options, deps } = state;
  const endpoints = options.originalDestination
    ? interceptedEndpointsOf(socket)
    : endpointsOf(socket);
  const arrival: Arrival = {
    socket,
    endpoints,
    // Without a look all chains have one mode.
    isTls: options.chains[0]?.mode !== 'off',
    hello: undefined,
    // Who is not configured cannot state an address: what it sends is taken for what it is.
    awaitsHeader: options.proxyProtocolFrom?.has(endpoints.source.host) === true,
  };
  // At once, so that nobody holds all places with connections on which nothing comes.
  if (!arrival.awaitsHeader && !admit(arrival, state)) return;
  const stages = stagesFor(arrival, state);
  if (stages.length === 0) {
    choose(arrival, state);
    return;
  }
  const reading = { stages, deadlines: deps.deadlines, msMax: deps.firstBytesMsMax };
  readFirstBytes(socket, reading, (outcome) => {
    if (outcome.kind === 'done') onFirstBytes(arrival, state);
    // Who leaves without a word, as probes of load balancers do, is nobody's fault.
    else if (outcome.kind === 'closed') socket.destroy();
    else refuse(arrival, state, 'connectionsUnreadable', outcome.detail);
  });
}

function stagesFor(
  arrival: Arrival,
  { options, deps, inspects }: ListenerState,
): FirstBytesStage[] {
  const stages: FirstBytesStage[] = [];
  if (arrival.awaitsHeader) {
    stages.push(
      proxyHeaderStage((header) => {
        if (header.kind === 'proxied') arrival.endpoints = header.endpoints;
      }),
    );
  }
  if (inspects) {
    stages.push(
      inspectorStage(
        (hello) => {
          arrival.isTls = hello !== undefined;
          arrival.hello = hello;
        },
        () => silenceMsMax(arrival, options.chains, deps.firstBytesMsMax),
      ),
    );
  }
  return stages;
}

/**
 * A client of plaintext may wait for its server to begin, and one of TLS never does. Answers how long nothing at all is
 * no sign of that, or undefined where no chain that would take the plaintext has servers that begin.
 */
function silenceMsMax(
  { endpoints }: Arrival,
  chains: readonly FilterChain[],
  firstBytesMsMax: number,
): number | undefined {
  const chain = chooseChain(chains, { endpoints, isTls: false, hello: undefined });
  if (chain?.serverFirstPorts === undefined) return undefined;
  return chain.serverFirstPorts.has(endpoints.destination.port)
    ? Math.min(helloMsMax, firstBytesMsMax)
    : firstBytesMsMax;
}

/** Whether its source has room for it; if not, it is refused. */
function admit(arrival: Arrival, state: ListenerState): boolean {
  const { host } = arrival.endpoints.source;
  if (!state.sources.add(host)) {
    refuse(
      arrival,
      state,
      'connectionsOverSourceLimit',
      'its source has too many connections; connectionsPerSourceMax bounds them',
    );
    return false;
  }
  arrival.socket.once('close', () => state.sources.remove(host));
  return true;
}

function onFirstBytes(arrival: Arrival, state: ListenerState): void {
  if (!arrival.awaitsHeader || admit(arrival, state)) choose(arrival, state);
}

function choose(arrival: Arrival, state: ListenerState): void {
  const { socket, endpoints } = arrival;
  const chain = chooseChain(state.options.chains, arrival);
  if (chain === undefined) {
    const what = arrival.isTls ? 'TLS' : 'plaintext';
    refuse(arrival, state, 'connectionsUnmatched', `no filter chain takes it (${what})`);
  } else if (chain.tls !== undefined && arrival.isTls) {
    secure(arrival, chain, chain.tls, state);
  } else {
    chain.onConnection(new Connection(socket, undefined, state.deps, undefined, endpoints));
  }
}

function secure(
  arrival: Arrival,
  chain: FilterChain,
  tls: ListenerTls,
  state: ListenerState,
): void {
  const { socket, endpoints } = arrival;
  const { deps, options } = state;
  const { stats, log } = deps;
  const answer = tls.source.current();
  if (answer.kind === 'not_ready') {
    refuse(arrival, state, 'tlsNotReady', answer.detail);
    return;
  }
  const { material } = answer;
  const accepting = { ...tls, material, deadlines: deps.deadlines, msMax: deps.handshakeMsMax };
  acceptTls(socket, accepting, (outcome, secured) => {
    count(outcome, stats);
    if (outcome.kind === 'accepted') {
      const connection = new Connection(secured, outcome.id, deps, undefined, endpoints);
      const forget = tls.source.watchPeer({
        ...outcome,
        generation: material.generation,
        retire: () => connection.retire(),
        end(why, reason) {
          stats[endedCounters[why]] += 1;
          log.warn('a TLS connection was ended', {
            listener: options.name,
            peer: outcome.id,
            reason,
          });
          connection.destroy(reason);
        },
      });
      secured.once('close', forget);
      chain.onConnection(connection);
      return;
    }
    const fields = { listener: options.name, peer: peerOf(arrival), reason: outcome.detail };
    if (outcome.kind === 'refused') log.warn('a TLS peer was refused', fields);
    // Port scanners and load balancers' probes fail handshakes all day.
    else log.debug('a TLS handshake failed', fields);
  });
}

function count(outcome: AcceptOutcome, stats: ListenerStats): void {
  switch (outcome.kind) {
    case 'accepted':
      stats.tlsHandshakes += 1;
      return;
    case 'refused':
      stats.tlsHandshakes += 1;
      stats.tlsPeersRefused += 1;
      return;
    case 'failed':
      stats.tlsHandshakesFailed += 1;
  }
}

function refuse(
  arrival: Arrival,
  { deps, refusals }: ListenerState,
  counter: Refused,
  reason: string,
): void {
  deps.stats[counter] += 1;
  refusals.write(counter, peerOf(arrival), reason);
  arrival.socket.destroy();
}

// A client of TLS sends its hello with the third packet of the connection; this is many round trips of a mesh, and what
// a client in plaintext waits longer for its greeting where servers are known to begin.
const helloMsMax = 250;

const endedCounters = {
  revoked: 'tlsPeersRevoked',
  untrusted: 'tlsPeersUntrusted',
  superseded: 'tlsSuperseded',
} as const;

type Refused =
  | 'connectionsOverSourceLimit'
  | 'connectionsUnmatched'
  | 'connectionsUnreadable'
  | 'tlsNotReady';

function endpointsOf(socket: Socket): Endpoints {
  return {
    source: addressOf(socket.remoteAddress, socket.remotePort),
    destination: addressOf(socket.localAddress, socket.localPort),
  };
}

function interceptedEndpointsOf(socket: Socket): Endpoints {
  const endpoints = endpointsOf(socket);
  const original = readOriginalDestination(socket);
  // Who connects to us by our own address was redirected by nobody.
  if (original === undefined || isSameAddress(original, endpoints.destination)) return endpoints;
  return { source: endpoints.source, destination: original, original };
}

function peerOf({ endpoints }: Arrival): string {
  return addressText(endpoints.source);
}
