/** Towards the workload: mutual TLS in, verified peers only. Read top to bottom, this is what a byte goes through. */

import { parsePeerPolicy } from '../../policies/index.ts';
import type { ChainConfig } from '../chain-config.ts';
import type { FilterChain } from '../net/filter-chain.ts';
import { chainMatch } from './chain-match.ts';
import { alpnOf } from './protocols.ts';
import type { DirectionDeps, ServingChain } from './serving-chain.ts';

/** The chain in which `config.tls` is given. */
export function inboundChain(
  config: ChainConfig & { readonly tls: NonNullable<ChainConfig['tls']> },
  serving: ServingChain,
  deps: DirectionDeps,
): FilterChain {
  // Who may come in, compiled once.
  const policy = parsePeerPolicy(config.tls.allow, config.tls.deny);
  // Secrets are asked for at each handshake, so a rotation touches no listener.
  const tls = {
    source: deps.tlsSource,
    policy,
    protocols: alpnOf(deps.protocols, config.protocol),
  };
  return {
    name: config.name,
    match: chainMatch(config.match),
    // Plaintext comes in beside TLS only where the config says so in so many words.
    mode: config.mode,
    tls,
    serverFirstPorts: serving.serverFirstPorts,
    // Bytes of accepted peers become requests, or a relay.
    onConnection: serving.onConnection,
  };
}
