/** What every call of the Workload API begins with: the header, then who calls and what it may have. */

import type { Logger, Watch } from '../../core/index.ts';
import type { CallContext } from '../../rpc/index.ts';
import { AgentError } from '../agent-error.ts';
import type { CallerIdentities, CallerIdentitiesSource } from '../workload/caller-identities.ts';

/** A caller with one identity at least. */
export type Known = Extract<CallerIdentities, { kind: 'known' }>;

export interface WorkloadCalls {
  readonly source: CallerIdentitiesSource;
  readonly log: Logger;
}

/** E-2: shows that the caller meant to speak to a Workload API, and no browser or proxy was tricked into it. */
export function checkHeader(context: Pick<CallContext, 'metadata'>): void {
  const values = context.metadata('workload.spiffe.io');
  if (values.length === 1 && values[0] === 'true') return;
  throw new AgentError(
    'workload_header',
    'invalid_argument',
    'metadata workload.spiffe.io: true is required',
  );
}

/** an operator may switch a profile off. */
export function profileOff(profile: 'X.509' | 'JWT'): AgentError {
  return new AgentError(
    'workload_unimplemented',
    'unimplemented',
    `the ${profile} profile is switched off in this agent`,
  );
}

/** What the caller may have. Rejects with AgentError if it cannot be known. */
export async function watchCaller(
  { source }: WorkloadCalls,
  context: CallContext,
): Promise<Watch<CallerIdentities>> {
  return source.identitiesOf(context.caller);
}

/** Throws {@link AgentError} for a caller to whom nothing may be said, with the status that E-5 gives it. */
export function knownOf(
  state: CallerIdentities,
  { log }: WorkloadCalls,
  context: CallContext,
): Known {
  if (state.kind === 'starting') {
    // E-5: starting; the client comes back.
    throw new AgentError('agent_starting', 'unavailable', 'the agent has not heard of its CA yet');
  }
  if (state.identities.length === 0) {
    log.debug('no identity for a caller', { connection: context.caller.connection });
    // E-5 and A-3: no identity, or none any more.
    throw new AgentError('no_identity', 'permission_denied', 'no identity issued');
  }
  return state;
}

/** a hint is unique in a response; of two the first keeps it, as a client would read it anyway. */
export function uniqueHint({ hint }: { readonly hint: string }, taken: Set<string>): string {
  if (hint === '' || taken.has(hint)) return '';
  taken.add(hint);
  return hint;
}
