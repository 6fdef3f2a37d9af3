/** `FetchSecrets`: one request, one answer with what is ready now. */

import { type DiscoveryRequest, type DiscoveryResponse, secretTypeUrl } from '../api/index.ts';
import { CodedError } from '../core/index.ts';
import type { CallContext } from '../rpc/index.ts';
import { versionOfAll } from './resource.ts';
import { type SdsDeps, viewOf } from './sds-deps.ts';
import { checkRequest } from './subscription.ts';

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
  checkRequest(request);
  const secrets = await deps.source.watch(context.caller, context.signal);
  const view = viewOf(secrets.current(), deps);
  const names = request.resourceNames.length === 0 ? view.names() : request.resourceNames;
  const ready = [...new Set(names)].flatMap((name) => view.get(name) ?? []);
  if (ready.length === 0) {
    throw new FetchSecretsError('sds_nothing_ready', 'no secret of these names for this caller');
  }
  return {
    versionInfo: versionOfAll(new Map(ready.map(({ name, version }) => [name, version]))),
    resources: ready.map(({ encoded }) => encoded),
    typeUrl: secretTypeUrl,
    // A nonce is for streams; nobody will echo this one.
    nonce: '',
    controlPlane: { identifier: 'signet' },
  };
}
