/** The streams of the Workload API: the whole state each time, and nothing while what the caller sees stays. */

import type { Watch } from '../../core/index.ts';
import type { CallContext, Outgoing } from '../../rpc/index.ts';
import { streamStates } from '../stream-states.ts';
import type { CallerIdentities } from '../workload/caller-identities.ts';
import { type Known, knownOf, type WorkloadCalls } from './workload-call.ts';

/** A message, and what it is made of: two with the same parts say the same. */
export interface StateMessage<Message> {
  readonly parts: readonly unknown[];
  readonly message: () => Message;
}

/** each message is the whole state, the first at once. Undefined sends nothing for that state. */
export async function streamKnown<Message>(
  calls: WorkloadCalls,
  out: Outgoing<Message>,
  context: CallContext,
  identities: Watch<CallerIdentities>,
  respond: (known: Known) => StateMessage<Message> | undefined,
): Promise<void> {
  let sent: readonly unknown[] | undefined;
  await streamStates(identities, out, context.signal, (state) => {
    const response = respond(knownOf(state, calls, context));
    if (response === undefined || sameParts(sent, response.parts)) return undefined;
    sent = response.parts;
    return response.message();
  });
}

function sameParts(left: readonly unknown[] | undefined, right: readonly unknown[]): boolean {
  return left?.length === right.length && left.every((part, index) => part === right[index]);
}
