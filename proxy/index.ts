/** The door of `proxy/`: the sidecar as a config and a running thing. */

export type { BoundListener } from './admin/proxy-view.ts';
export { parseProxyConfig, type ProxyConfig } from './config.ts';
export { type ProxyDeps, type RunningProxy, startProxy } from './proxy.ts';
export { workerConfig } from './workers/worker-config.ts';
export { type WorkerProcess, WorkersError } from './workers/worker-set.ts';
export { type RunningWorkers, startProxyWorkers } from './workers/workers.ts';
