/** `FetchSecrets`: one request, one answer with what is ready, once what is on its way has been waited for a little. */

import { type DiscoveryRequest, type DiscoveryResponse, secretTypeUrl } from '../api/index.ts';
import { CodedError, firstValue, sleep, type Watch } from '../core/index.ts';
import type { CallContext } from '../rpc/index.ts';
import { versionOfAll } from './resource.ts';
import { type ResourceView, type SdsDeps, viewOf } from './sds-deps.ts';
import type { SecretSet } from './secret-source.ts';
import { checkRequest } from './subscription.ts';
import { wildcardName } from './subscription-step.ts';

export type FetchSecretsErrorCode = 'sds_nothing_ready';

export class FetchSecretsError extends CodedError<FetchSecretsErrorCode> {
  override readonly name = 'FetchSecretsError';
  override readonly kind = 'not_found';
}

/**
 * What is ready of the names asked for, or of everything if none are named. Throws
 * {@link FetchSecretsError} if that is nothing: whether a name is unknown or another's is not told.
 */
export async function fetchSecrets(
  request: DiscoveryRequest,
  context: CallContext,
  deps: SdsDeps,
): Promise<DiscoveryResponse> {
  deps.admission.request(context.caller);
  checkRequest(request);
  const secrets = await deps.source.watch(context.caller, context.signal);
  const asked = new Set(request.resourceNames);
  const everything = asked.delete(wildcardName) || request.resourceNames.length === 0;
  const fetched = deps.wanted.open(context.caller);
  try {
    fetched.set(asked);
    await untilSettled(secrets, { asked, everything }, context.signal, deps);
    return answerOf(viewOf(secrets.current(), deps), asked, everything);
  } finally {
    fetched.close();
  }
}

/** What is neither ready nor on its way is not in this answer. */
async function untilSettled(
  secrets: Watch<SecretSet>,
  { asked, everything }: { readonly asked: ReadonlySet<string>; readonly everything: boolean },
  signal: AbortSignal,
  deps: SdsDeps,
): Promise<void> {
  const isDone = (set: SecretSet): set is SecretSet => {
    if (everything && isAnyPending(set)) return false;
    const view = viewOf(set, deps);
    return [...asked].every((name) => view.get(name) !== undefined || !view.isPending(name));
  };
  if (isDone(secrets.current())) return;
  const waited = new AbortController();
  const stop = (): void => waited.abort();
  signal.addEventListener('abort', stop, { once: true });
  await Promise.race([
    firstValue(secrets, isDone, waited.signal).catch(() => {}),
    sleep(deps.clock, fetchMsMax, waited.signal),
  ]);
  stop();
  signal.removeEventListener('abort', stop);
}

function isAnyPending({ pending }: SecretSet): boolean {
  return pending === 'everything' || (pending?.size ?? 0) > 0;
}

function answerOf(
  view: ResourceView,
  asked: ReadonlySet<string>,
  everything: boolean,
): DiscoveryResponse {
  const names = new Set([...asked, ...(everything ? view.names() : [])]);
  const ready = [...names].flatMap((name) => view.resource(name) ?? []);
  if (ready.length === 0) {
    throw new FetchSecretsError('sds_nothing_ready', 'no secret of these names for this caller');
  }
  return {
    versionInfo: versionOfAll(new Map(ready.map(({ name, summary }) => [name, summary.version]))),
    resources: ready.map(({ encoded }) => encoded),
    typeUrl: secretTypeUrl,
    // A nonce is for streams; nobody will echo this one.
    nonce: '',
    controlPlane: { identifier: 'signet' },
  };
}

// Less than any client waits for an answer; a certificate from the CA takes a hundredth of it.
const fetchMsMax = 2000;
