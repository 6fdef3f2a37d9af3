/** The pool that a protocol's codec asks for. */

import type { ExchangeProtocol, MultiplexProtocol } from './exchange-protocol.ts';
import type { Pool, PoolDeps, PoolOptions } from './pool.ts';
import { MultiplexPool } from './pool-multiplex.ts';
import { PingPongPool } from './pool-ping-pong.ts';

export function createPool(protocol: ExchangeProtocol, options: PoolOptions, deps: PoolDeps): Pool {
  return isMultiplex(protocol)
    ? new MultiplexPool(protocol, options, deps)
    : new PingPongPool(protocol, options, deps);
}

function isMultiplex(protocol: ExchangeProtocol): protocol is MultiplexProtocol {
  return protocol.codec.poolMode === 'multiplex';
}
