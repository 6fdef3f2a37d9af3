/** From the workload: plaintext in from this machine, mutual TLS out where the cluster says so. */

import type { ChainConfig } from '../chain-config.ts';
import type { FilterChain } from '../net/filter-chain.ts';
import { chainMatch } from './chain-match.ts';
import type { ServingChain } from './serving-chain.ts';

/** The chain without `config.tls`: plaintext is what the config states in so many words, and never a fallback. */
export function outboundChain(config: ChainConfig, serving: ServingChain): FilterChain {
  return {
    name: config.name,
    match: chainMatch(config.match),
    mode: 'off',
    tls: undefined,
    serverFirstPorts: serving.serverFirstPorts,
    // Bytes of the workload become requests, or a relay; their clusters originate TLS.
    onConnection: serving.onConnection,
  };
}
