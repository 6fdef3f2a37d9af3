/** From the workload: plaintext in from this machine, mutual TLS out where the cluster says so. */

import type { ListenerConfig } from '../config.ts';
import { startListener } from '../net/listener.ts';
import { type DirectionDeps, serveProtocol, type ServingListener } from './serving-listener.ts';

/** Throws rpc's ListenError. `config.plaintext` is stated. */
export async function startOutbound(
  config: ListenerConfig,
  deps: DirectionDeps,
): Promise<ServingListener> {
  // Bytes of the workload become requests, or a relay; their clusters originate TLS.
  const serving = serveProtocol(config, deps);
  // Plaintext is what the config states in so many words, and never a fallback.
  const listener = await startListener(
    { ...config, tls: undefined },
    { ...deps, stats: serving.counters, onConnection: serving.onConnection },
  );
  return { ...serving, listener };
}
