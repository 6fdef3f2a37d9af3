/** The door of `spiffe/`: the standard as values and pure functions. */

export {
  parseTrustDomain,
  type TrustDomain,
  TrustDomainError,
  type TrustDomainErrorCode,
} from './trust-domain.ts';
export {
  isSpiffeId,
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  SpiffeIdError,
  type SpiffeIdErrorCode,
  spiffeIdLengthMax,
  spiffeIdOf,
  trustDomainOf,
} from './spiffe-id.ts';
export { checkLeaf, type LeafRefusalCode, type LeafVerdict } from './check-leaf.ts';
export {
  parseX509Svid,
  type X509Svid,
  X509SvidError,
  type X509SvidErrorCode,
} from './x509-svid.ts';
export {
  type SvidRefusal,
  type SvidVerdict,
  verifyX509Svid,
  type VerifyX509SvidOptions,
} from './verify-x509-svid.ts';
export { type Bundle, type BundleSet, bundleSetOf, type JwtAuthority } from './bundle.ts';
export { BundleError, type BundleErrorCode } from './bundle-error.ts';
export { formatBundle, formatJwtBundle } from './bundle-format.ts';
export { parseBundle } from './parse-bundle.ts';
export { audienceFault } from './jwt-audience.ts';
export { type JwtAlgorithm, jwtAlgorithms } from './jwt-algorithm.ts';
export { type JwtRefusal, type JwtRefusalCode } from './jwt-refusal.ts';
export { type JwtSvid, verifyJwtSvid, type VerifyJwtSvidOptions } from './jwt-svid.ts';
