/** Why a token is no JWT-SVID for us: values, since a bad token is an everyday event for a validator. */

export type JwtRefusalCode =
  | 'jwt_size'
  | 'jwt_form'
  | 'jwt_header'
  | 'jwt_algorithm'
  | 'jwt_key_id'
  | 'jwt_claims'
  | 'jwt_subject'
  | 'jwt_audience'
  | 'jwt_expired'
  | 'jwt_not_yet'
  | 'jwt_trust_domain'
  | 'jwt_authority'
  | 'jwt_signature';

export interface JwtRefusal {
  readonly kind: 'refused';
  readonly code: JwtRefusalCode;
  readonly detail: string;
}

export function refuseJwt(code: JwtRefusalCode, detail: string): JwtRefusal {
  return { kind: 'refused', code, detail };
}
