/** A listener with its filter chains, each served in its protocol. */

import { chainsOf, type ListenerConfig } from '../listener-config.ts';
import { AddressRanges } from '../net/address-ranges.ts';
import { type Listener, startListener } from '../net/listener.ts';
import { inboundChain } from './inbound.ts';
import { outboundChain } from './outbound.ts';
import { type DirectionDeps, serveProtocol, type ServingChain } from './serving-chain.ts';
import { createListenerCounters } from './stats.ts';

export interface ServingListener {
  readonly listener: Listener;
  drain(): void;
  openCount(): number;
}

/** Starts a listener with its filter chains. Throws rpc's ListenError. */
export async function startServing(
  config: ListenerConfig,
  deps: DirectionDeps,
): Promise<ServingListener> {
  const stats = createListenerCounters();
  deps.stats.listeners.set(config.name, stats);
  const { proxyProtocol } = config;
  const serving: ServingChain[] = [];
  const chains = chainsOf(config).map((chain) => {
    const served = serveProtocol(chain, config.name, stats, deps);
    serving.push(served);
    const { tls } = chain;
    if (tls === undefined) return outboundChain(chain, served);
    return inboundChain({ ...chain, tls }, served, deps);
  });
  const options = {
    ...config,
    connectionsPerSourceMax: config.connectionsPerSourceMax ?? config.connectionsMax,
    proxyProtocolFrom:
      proxyProtocol === undefined ? undefined : new AddressRanges(proxyProtocol.from),
    chains,
  };
  // Last, the socket: once it accepts, everything behind it stands.
  const listener = await startListener(options, { ...deps, stats });
  return {
    listener,
    drain: () => {
      for (const each of serving) each.drain();
    },
    openCount: () => serving.reduce((sum, each) => sum + each.openCount(), 0),
  };
}
