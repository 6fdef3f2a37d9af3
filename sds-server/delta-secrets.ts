/** `DeltaSecrets` is not served yet: a client is told so at once, instead of waiting for secrets. */

import { CodedError } from '../core/index.ts';

export type DeltaSecretsErrorCode = 'sds_delta';

export class DeltaSecretsError extends CodedError<DeltaSecretsErrorCode> {
  override readonly name = 'DeltaSecretsError';
  override readonly kind = 'unimplemented';
}

export async function deltaSecrets(): Promise<void> {
  throw new DeltaSecretsError('sds_delta', 'DeltaSecrets is not served', {
    remedy: 'set api_type: GRPC (state of the world) in the sds_config',
  });
}
