/** What the methods of the service share, and how they look at one caller's secrets. */

import type { Clock, Logger, Random } from '../core/index.ts';
import type { Caller } from '../rpc/index.ts';
import type { ResourceEncoder, SecretResource } from './resource.ts';
import { findSecret, isPending, namesOf, type NameResolver, wantedName } from './secret-name.ts';
import type { SecretSet, SecretSource } from './secret-source.ts';
import type { TrustObserver } from './stream-trust.ts';
import type { SecretView } from './secret-view.ts';
import type { SdsRegistry } from './sds-clients.ts';
import type { WantedNames } from './wanted-names.ts';

/** Who may ask, and how often. Each throws a CodedError for one that may not now: its stream ends with that. */
export interface SdsAdmission {
  /** Called once for a stream, which lasts until `signal` is aborted. */
  stream(caller: Caller, signal: AbortSignal): void;
  /** Called for each request, on a stream or not. */
  request(caller: Caller): void;
}

/** Processes of this machine, whom the kernel bounds. */
export const everybody: SdsAdmission = { stream() {}, request() {} };

export interface SdsDeps {
  readonly admission: SdsAdmission;
  readonly source: SecretSource;
  readonly resolve: NameResolver;
  readonly encode: ResourceEncoder;
  readonly observer: TrustObserver;
  readonly clients: SdsRegistry;
  readonly wanted: WantedNames;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** A view with the encoded secrets at hand. */
export interface ResourceView extends SecretView {
  resource(name: string): SecretResource | undefined;
}

export function viewOf(secrets: SecretSet, deps: SdsDeps): ResourceView {
  const resource = (name: string): SecretResource | undefined => {
    const found = findSecret(secrets, deps.resolve(name));
    return found === undefined ? undefined : deps.encode(found, name);
  };
  return {
    resource,
    get: (name) => resource(name)?.summary,
    names: () => namesOf(secrets),
    isOnDemand: (name) => wantedName(deps.resolve(name)) !== undefined,
    isPending(name) {
      const resolved = deps.resolve(name);
      // Where nothing is fetched on demand, nothing is on its way.
      if (wantedName(resolved) !== undefined && deps.source.want === undefined) return false;
      return isPending(secrets, resolved);
    },
  };
}
