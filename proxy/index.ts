/** The door of `proxy/`: the sidecar as a config and a running thing. */

export type { BoundListener } from './admin/proxy-view.ts';
export { parseProxyConfig, type ProxyConfig } from './config.ts';
export { type ProxyDeps, type RunningProxy, startProxy } from './proxy.ts';
