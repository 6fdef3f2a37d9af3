/** What a request may ask for at all, the same for both protocols. */

import { secretTypeUrl } from '../api/index.ts';
import { CodedError } from '../core/index.ts';

export type SubscriptionErrorCode = 'sds_type_url' | 'sds_names' | 'sds_name_length';

export class SubscriptionError extends CodedError<SubscriptionErrorCode> {
  override readonly name = 'SubscriptionError';
  override readonly kind = 'invalid_argument';
}

/** Throws {@link SubscriptionError} for a type that is not served here. */
export function checkTypeUrl(typeUrl: string): void {
  // An absent type is implied by the service; another type is a client that talks to the wrong one.
  if (typeUrl === '' || typeUrl === secretTypeUrl) return;
  throw new SubscriptionError(
    'sds_type_url',
    `type ${JSON.stringify(typeUrl.slice(0, nameLengthMax))} is not served here, only ${secretTypeUrl}`,
  );
}

/** Throws {@link SubscriptionError} for a list that no server of secrets could answer. */
export function checkNames(names: readonly string[]): void {
  checkNameCount(names.length);
  for (const name of names) {
    if (name.length <= nameLengthMax) continue;
    throw new SubscriptionError(
      'sds_name_length',
      `a resource name of ${name.length} characters, at most ${nameLengthMax} are taken`,
    );
  }
}

/** Throws {@link SubscriptionError} if a request, or a stream by all its requests, names too many. */
export function checkNameCount(count: number): void {
  if (count <= namesMax) return;
  throw new SubscriptionError(
    'sds_names',
    `${count} resource names, at most ${namesMax} are taken on a stream`,
  );
}

// An Envoy asks for one name a stream and ours for two; a gateway with a certificate per host for hundreds.
export const namesMax = 1000;
// A thousand SPIFFE IDs of usual length, and an Envoy's description of itself. A caller may have thousands of
// messages half sent.
export const sdsMessageBytesMax = 256 * 1024;
// SPIFFE ID-5: an ID has at most 2048 bytes, and no other name is longer.
export const nameLengthMax = 2048;
