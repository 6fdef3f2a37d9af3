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
  | 'caller_unknown'
  | 'caller_gone'
  | 'caller_changed'
  | 'agent_starting'
  | 'no_identity'
  | 'workload_header'
  | 'workload_unimplemented';

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
