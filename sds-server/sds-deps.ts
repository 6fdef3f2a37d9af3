/** What the methods of the service share, and how they look at one caller's secrets. */

import type { Clock, Logger, Random } from '../core/index.ts';
import type { ResourceEncoder, SecretResource } from './resource.ts';
import { findSecret, namesOf, resolveSecretName, type SecretAliases } from './secret-name.ts';
import type { SecretSet, SecretSource } from './secret-source.ts';
import type { TrustObserver } from './stream-trust.ts';
import type { SecretView } from './subscription.ts';

export interface SdsDeps {
  readonly source: SecretSource;
  readonly aliases: SecretAliases;
  readonly encode: ResourceEncoder;
  readonly observer: TrustObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** A view whose answers hold the encoded secrets too. */
export interface ResourceView extends SecretView {
  get(name: string): SecretResource | undefined;
}

export function viewOf(secrets: SecretSet, deps: SdsDeps): ResourceView {
  return {
    get(name) {
      const found = findSecret(secrets, resolveSecretName(name, deps.aliases));
      return found === undefined ? undefined : deps.encode(found, name);
    },
    names: () => namesOf(secrets),
  };
}
