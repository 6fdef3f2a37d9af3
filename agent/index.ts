/** The door of `agent/`: node and workload attestation, SVID rotation, SDS and the Workload API on one socket. */

export { AgentError, type AgentErrorCode } from './agent-error.ts';
export { type AgentDeps, type RunningAgent, startAgent } from './agent.ts';
export { type AgentConfig, parseAgentConfig } from './config.ts';
export { protectProcess } from './protect-process.ts';
export { type SealedCacheStatus } from './sealed-cache/sealed-cache.ts';
export { type Survival } from './survival.ts';
export { exportSvid } from './sink/export-svid.ts';
export { readPasswordFile } from './sink/read-password.ts';
export { startSvidSink } from './sink/sink.ts';
export { parseSinkConfig } from './sink/sink-config.ts';
export { SinkError, type SinkErrorCode } from './sink/sink-error.ts';
export { parseRemoteSdsConfig } from './remote/remote-config.ts';
export { type RunningRemoteSds, startRemoteSds } from './remote/remote-sds.ts';
