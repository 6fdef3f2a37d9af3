/** What can go wrong in the agent, each with what the caller can do about it. */

import { CodedError, type CodedErrorOptions, type ErrorKind } from '../core/index.ts';

export type AgentErrorCode =
  | 'join_token_missing'
  | 'x509pop_files'
  | 'bootstrap_bundle'
  | 'ca_unreachable'
  | 'ca_not_trusted'
  | 'node_refused'
  | 'node_svid_invalid'
  | 'sync_invalid'
  | 'start_aborted'
  | 'cache_key'
  | 'cache_directory'
  | 'caller_unknown'
  | 'caller_gone'
  | 'caller_changed'
  | 'attestor_unavailable'
  | 'workload_ambiguous'
  | 'node_name_missing'
  | 'agent_starting'
  | 'no_identity'
  | 'workload_header'
  | 'workload_unimplemented'
  | 'jwt_audience'
  | 'jwt_spiffe_id'
  | 'jwt_svid'
  | 'jwt_svid_refused'
  | 'jwt_svid_unavailable';

/** One class for the room; `kind` is given where it is thrown, because one code has one cause. */
export class AgentError extends CodedError<AgentErrorCode> {
  override readonly name = 'AgentError';
  override readonly kind: ErrorKind;

  constructor(
    code: AgentErrorCode,
    kind: ErrorKind,
    message: string,
    options: CodedErrorOptions = {},
  ) {
    super(code, message, options);
    this.kind = kind;
  }
}
