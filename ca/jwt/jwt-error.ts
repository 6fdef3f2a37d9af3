/** What must not happen while a JWT-SVID is made. Why one is refused is a value, not this. */

import { CodedError } from '../../core/index.ts';

export class JwtError extends CodedError<'jwt_algorithm'> {
  override readonly name = 'JwtError';
  override readonly kind = 'internal';
}
