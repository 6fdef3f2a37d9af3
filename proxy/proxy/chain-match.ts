/** What a filter chain's `match` of the config means. */

import type { ChainConfig } from '../chain-config.ts';
import { AddressRanges } from '../net/address-ranges.ts';
import type { ChainMatch } from '../net/filter-chain.ts';

export function chainMatch(match: ChainConfig['match']): ChainMatch {
  const { serverNames, alpn, sources, destinations, destinationPorts } = match;
  return {
    serverNames,
    protocols: alpn,
    sources: sources === undefined ? undefined : new AddressRanges(sources),
    destinations: destinations === undefined ? undefined : new AddressRanges(destinations),
    destinationPorts,
  };
}
