/** The config of one worker of several, made of the config of them all. */

import type { ProxyConfig } from '../config.ts';

/** Its ports are shared, its admin port is for whoever started it alone, and bounds are divided among the workers. */
export function workerConfig(config: ProxyConfig): ProxyConfig {
  const share = (max: number): number => Math.ceil(max / config.workers);
  return {
    ...config,
    admin: { host: '127.0.0.1', port: 0 },
    connectionsMax: share(config.connectionsMax),
    listeners: config.listeners.map((listener) => ({
      ...listener,
      reusePort: true,
      connectionsMax: share(listener.connectionsMax),
      ...(listener.connectionsPerSourceMax === undefined
        ? {}
        : { connectionsPerSourceMax: share(listener.connectionsPerSourceMax) }),
    })),
    clusters: config.clusters.map((cluster) => ({
      ...cluster,
      connectionsMax: share(cluster.connectionsMax),
    })),
  };
}
