/** Towards the workload: mutual TLS in, verified peers only. Read top to bottom, this is what a byte goes through. */

import { parsePeerPolicy } from '../../policies/index.ts';
import type { ListenerConfig } from '../config.ts';
import { startListener } from '../net/listener.ts';
import {
  type DirectionDeps,
  protocolsOf,
  serveProtocol,
  type ServingListener,
} from './serving-listener.ts';

/** Throws rpc's ListenError. `config.tls` is given. */
export async function startInbound(
  config: ListenerConfig & { readonly tls: NonNullable<ListenerConfig['tls']> },
  deps: DirectionDeps,
): Promise<ServingListener> {
  // Who may come in, compiled once.
  const policy = parsePeerPolicy(config.tls.allow);
  // Secrets are asked for at each handshake, so a rotation touches no listener.
  const tls = { source: deps.tlsSource, policy, protocols: protocolsOf(config.protocol) };
  // Bytes of accepted peers become requests, or a relay.
  const serving = serveProtocol(config, deps);
  // Last, the socket: once it accepts, everything behind it stands.
  const listener = await startListener(
    { ...config, tls },
    { ...deps, stats: serving.counters, onConnection: serving.onConnection },
  );
  return { ...serving, listener };
}
