/** The door of `agent/`: node and workload attestation, SVID rotation, SDS and the Workload API on one socket. */

export { AgentError, type AgentErrorCode } from './agent-error.ts';
export { type AgentDeps, type RunningAgent, startAgent } from './agent.ts';
export { type AgentConfig, parseAgentConfig } from './config.ts';
