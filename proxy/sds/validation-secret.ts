/** From a `validation_context` secret to bundles by trust domain. */

import {
  type CertificateValidationContext,
  type DataSource,
  type Secret,
  SPIFFECertValidatorConfig,
  spiffeValidatorTypeUrl,
} from '../../api/index.ts';
import { CodedError } from '../../core/index.ts';
import { type Certificate, type Crl, parsePemCrls, parsePemTrust } from '../../pki/index.ts';
import {
  type Bundle,
  type BundleSet,
  parseTrustDomain,
  type TrustDomain,
} from '../../spiffe/index.ts';
import { noRevocationLists, RevocationLists } from '../net/mtls/revoked-peers.ts';
import { inlineBytes } from './data-source.ts';
import { SecretError } from './secret-error.ts';

/**
 * What a validation secret says. Envoy's plain `trusted_ca` names no trust domain: its roots vouch for
 * the domain the secret is named after, or else for our own, and never for any other.
 */
export type ValidationSecret =
  | { readonly kind: 'bundles'; readonly bundles: BundleSet; readonly lists: RevocationLists }
  | {
      readonly kind: 'own_domain';
      readonly authorities: readonly Certificate[];
      readonly lists: RevocationLists;
    };

/** Throws {@link SecretError}. */
export function readValidationSecret(secret: Secret): ValidationSecret {
  if (secret.type?.$case !== 'validationContext') {
    throw new SecretError('secret_kind', `${secret.name} holds no validation context`);
  }
  const context = secret.type.value;
  const given = readLists(context.crl, secret.name);
  const validator = readValidator(context, secret.name);
  if (validator !== undefined) {
    const { bundles, crls } = validator;
    return { kind: 'bundles', bundles, lists: new RevocationLists([...given, ...crls]) };
  }
  const lists = given.length === 0 ? noRevocationLists : new RevocationLists(given);
  const { authorities } = readRoots(context.trustedCa, secret.name);
  if (!secret.name.startsWith(trustDomainScheme)) {
    return { kind: 'own_domain', authorities, lists };
  }
  const trustDomain = readTrustDomain(secret.name.slice(trustDomainScheme.length));
  const only = new Map([[trustDomain, bundleOf(trustDomain, authorities)]]);
  return { kind: 'bundles', bundles: only, lists };
}

/** The bundles as one set, once our own trust domain is known. Throws {@link SecretError}. */
export function bundlesFor(validation: ValidationSecret, own: TrustDomain): BundleSet {
  if (validation.kind === 'own_domain') {
    return new Map([[own, bundleOf(own, validation.authorities)]]);
  }
  if (validation.bundles.has(own)) return validation.bundles;
  throw new SecretError('bundle_missing', `there is no bundle of our own trust domain ${own}`);
}

/** Envoy's validator takes revocation lists from among the roots, and so do we. */
function readValidator(
  context: CertificateValidationContext,
  name: string,
): { readonly bundles: BundleSet; readonly crls: readonly Crl[] } | undefined {
  const typed = context.customValidatorConfig?.typedConfig;
  if (typed === undefined) return undefined;
  if (typed.typeUrl !== spiffeValidatorTypeUrl) {
    throw new SecretError(
      'secret_kind',
      `${name} names a validator we do not know: ${typed.typeUrl}`,
    );
  }
  const bundles = new Map<TrustDomain, Bundle>();
  const crls: Crl[] = [];
  for (const entry of decodeValidator(typed.value, name)) {
    const trustDomain = readTrustDomain(entry.name);
    if (bundles.has(trustDomain)) {
      throw new SecretError('bundle_repeated', `${name} has two bundles of ${trustDomain}`);
    }
    const { authorities, crls: among } = readRoots(entry.trustBundle, trustDomain);
    crls.push(...among);
    bundles.set(trustDomain, bundleOf(trustDomain, authorities));
  }
  if (bundles.size === 0) throw new SecretError('bundle_empty', `${name} has no bundle`);
  return { bundles, crls };
}

function decodeValidator(value: Buffer, name: string): SPIFFECertValidatorConfig['trustDomains'] {
  try {
    return SPIFFECertValidatorConfig.decode(value).trustDomains;
  } catch (cause) {
    // The protobuf reader throws plain errors on a truncated or malformed message.
    if (!(cause instanceof Error)) throw cause;
    throw new SecretError('bundle_unreadable', `the validator of ${name} is no message`, { cause });
  }
}

interface Roots {
  readonly authorities: readonly Certificate[];
  readonly crls: readonly Crl[];
}

function readRoots(source: DataSource | undefined, of: string): Roots {
  const pem = inlineBytes(source, `the bundle of ${of}`).toString('latin1');
  const { authorities, crls } = parseRoots(pem, of);
  // An empty bundle would refuse every peer; the one before it is better, and the server is told.
  if (authorities.length === 0)
    throw new SecretError('bundle_empty', `the bundle of ${of} is empty`);
  return { authorities, crls };
}

/** A list that cannot be read may name somebody whom we would then let in: the whole secret is refused. */
function readLists(source: DataSource | undefined, of: string): readonly Crl[] {
  if (source === undefined) return [];
  const pem = inlineBytes(source, `the revocation lists of ${of}`).toString('latin1');
  try {
    return parsePemCrls(pem);
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    const reason = `the revocation lists of ${of} cannot be read: ${cause.message}`;
    throw new SecretError('crl_unreadable', reason, { cause });
  }
}

function parseRoots(pem: string, of: string): Roots {
  if (pem.trim() === '') return { authorities: [], crls: [] };
  try {
    const { certificates, crls } = parsePemTrust(pem);
    return { authorities: certificates, crls };
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    const reason = `the bundle of ${of} cannot be read: ${cause.message}`;
    throw new SecretError('bundle_unreadable', reason, { cause });
  }
}

function readTrustDomain(text: string): TrustDomain {
  try {
    return parseTrustDomain(text);
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    const reason = `${JSON.stringify(text)} is no trust domain: ${cause.message}`;
    throw new SecretError('bundle_unreadable', reason, { cause });
  }
}

// SDS carries neither the sequence number nor the JWT keys of a bundle.
function bundleOf(trustDomain: TrustDomain, x509Authorities: readonly Certificate[]): Bundle {
  return { trustDomain, sequence: 0n, x509Authorities, jwtAuthorities: [] };
}

const trustDomainScheme = 'spiffe://';
