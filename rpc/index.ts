/** The door of `rpc/`: gRPC servers that know their callers, channels, handlers, status mapping. */

export { type Caller, type TlsCaller, type UnixCaller } from './caller.ts';
export {
  callUnary,
  type Channel,
  messagesOf,
  metadataOf,
  tlsChannel,
  tlsServerName,
  unixChannel,
} from './channel.ts';
export { ensureAddressFree } from './free-address.ts';
export {
  type CallContext,
  type CallerLookup,
  type Duplex,
  duplexStream,
  type Outgoing,
  serverStream,
  unary,
} from './handlers.ts';
export { readOriginalDestination } from './original-destination.ts';
export { peerChainOf } from './peer-chain.ts';
export {
  openPeerProcess,
  openProcess,
  type PeerCredentials,
  PeerCredentialsError,
  type PeerCredentialsErrorCode,
  type ProcessHandle,
  readPeerCredentials,
} from './peer-credentials.ts';
export { restrainMemory } from './process-memory.ts';
export { createProcessExits, type ProcessExits } from './process-exits.ts';
export {
  createRpcServer,
  ListenError,
  type ListenErrorCode,
  listening,
  type PeerVerdict,
  removeStaleSocket,
  type RpcServer,
  type TlsListenOptions,
} from './server.ts';
export { fromServiceError, grpcStatusOf, grpcStatusOfReset, RpcError } from './status.ts';
export { startTlsHandshake, type TlsHandshake } from './tls-handshake.ts';
