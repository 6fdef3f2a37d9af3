/** A secret as Envoy reads it, encoded once per content and shared by every stream that asks for it. */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  type Any,
  type CertificateValidationContext,
  type DataSource,
  Secret,
  SPIFFECertValidatorConfig,
  secretTypeUrl,
  spiffeValidatorName,
  spiffeValidatorTypeUrl,
} from '../api/index.ts';
import { toHex } from '../core/index.ts';
import { type Certificate, keyIdOfSpki, pemEncode } from '../pki/index.ts';
import type { Bundle, BundleSet } from '../spiffe/index.ts';
import { privateKeyPemBytes } from './key-pem.ts';
import { type FoundSecret, hasRoots } from './secret-name.ts';
import type { KeyedSvid } from './secret-source.ts';

export interface SecretResource {
  readonly name: string;
  /** Content hash: equal content has an equal version in every process, so a restart pushes nothing new. */
  readonly version: string;
  /** Hex key ids of the roots that a validation context holds; empty for a certificate. */
  readonly rootKeyIds: readonly string[];
  readonly encoded: Any;
}

export type ResourceEncoder = (found: FoundSecret, name: string) => SecretResource;

/**
 * An encoder with its own cache.
 *
 * The cache is keyed weakly by the SVID or bundle value, so encoded bytes, a private key among them, go
 * when the source lets the value go: at renewal, expiry or withdrawal. Names per value are few, because
 * only a name that leads to the value gets here.
 */
export function createResourceEncoder(): ResourceEncoder {
  const cache = new WeakMap<object, WeakMap<object, Map<string, SecretResource>>>();
  return (found, name) => {
    const value = valueOf(found);
    // Roots and revocation lists change apart from each other, and are one secret.
    const crls = found.kind === 'svid' ? noCrls : (found.crls ?? noCrls);
    const byCrls = cache.get(value) ?? new WeakMap<object, Map<string, SecretResource>>();
    cache.set(value, byCrls);
    const byName = byCrls.get(crls) ?? new Map<string, SecretResource>();
    byCrls.set(crls, byName);
    const known = byName.get(name);
    if (known !== undefined) return known;
    const resource = encodeResource(found, name);
    byName.set(name, resource);
    return resource;
  };
}

/** The version of a whole response: a hash over what it holds, whatever the order. */
export function versionOfAll(versions: ReadonlyMap<string, string>): string {
  const lines = [...versions].map(([name, version]) => `${JSON.stringify(name)} ${version}\n`);
  return contentHash('response', lines.toSorted());
}

function valueOf(found: FoundSecret): object {
  if (found.kind === 'svid') return found.svid;
  return found.kind === 'bundle' ? found.bundle : found.bundles;
}

function encodeResource(found: FoundSecret, name: string): SecretResource {
  if (found.kind === 'svid') return encodeSvid(found.svid, name);
  const { crls = noCrls } = found;
  if (found.kind === 'bundle') return encodeBundle(found.bundle, crls, name);
  return encodeAllBundles(found.bundles, crls, name);
}

function encodeSvid(svid: KeyedSvid, name: string): SecretResource {
  const key = privateKeyPemBytes(svid.privateKey);
  const encoded = encodeSecret({
    name,
    type: {
      $case: 'tlsCertificate',
      value: { certificateChain: pemSource(svid.chain), privateKey: inlineBytes(key) },
    },
  });
  key.fill(0);
  // The leaf names the public key and so the private one: a version, which is logged, need not be made of a key.
  const version = contentHash(
    'certificate',
    svid.chain.map((certificate) => certificate.der),
  );
  return { name, version, rootKeyIds: [], encoded };
}

function encodeBundle(bundle: Bundle, crls: Crls, name: string): SecretResource {
  const roots = bundle.x509Authorities;
  return {
    name,
    version: contentHash('roots', [...roots.map((root) => root.der), ...crlParts(crls)]),
    rootKeyIds: rootKeyIdsOf(roots),
    encoded: encodeSecret({
      name,
      type: {
        $case: 'validationContext',
        value: {
          trustedCa: pemSource(roots),
          customValidatorConfig: undefined,
          ...revocation(crls),
        },
      },
    }),
  };
}

/** Every trust domain with its own roots: Envoy then picks by the peer's SPIFFE ID, as X-8 wants. */
function encodeAllBundles(bundles: BundleSet, crls: Crls, name: string): SecretResource {
  // Sorted, so that the order in which bundles were learnt does not look like a change.
  const sorted = [...bundles.values()]
    .filter(hasRoots)
    .toSorted((left, right) => (left.trustDomain < right.trustDomain ? -1 : 1));
  const config = SPIFFECertValidatorConfig.encode({
    trustDomains: sorted.map((bundle) => ({
      name: bundle.trustDomain,
      trustBundle: pemSource(bundle.x509Authorities),
    })),
  }).finish();
  const content = sorted.flatMap((bundle) => [
    bundle.trustDomain,
    ...bundle.x509Authorities.map((root) => root.der),
  ]);
  return {
    name,
    version: contentHash('all', [...content, ...crlParts(crls)]),
    rootKeyIds: sorted.flatMap((bundle) => rootKeyIdsOf(bundle.x509Authorities)),
    encoded: encodeSecret({
      name,
      type: {
        $case: 'validationContext',
        value: {
          trustedCa: undefined,
          // Envoy's validator by trust domain does not look at it; our own proxy does.
          ...revocation(crls),
          customValidatorConfig: {
            name: spiffeValidatorName,
            typedConfig: { typeUrl: spiffeValidatorTypeUrl, value: Buffer.from(config) },
          },
        },
      },
    }),
  };
}

/**
 * The lists as Envoy takes them. It wants a list for every authority of a chain unless it is told to look at
 * the leaf alone, and our roots revoke nothing: what they sign is replaced by rotation.
 */
function revocation(
  crls: Crls,
): Pick<CertificateValidationContext, 'crl' | 'onlyVerifyLeafCertCrl'> {
  if (crls.length === 0) return { crl: undefined, onlyVerifyLeafCertCrl: false };
  const pem = crls.map((der) => pemEncode('X509 CRL', der)).join('');
  return { crl: inlineBytes(Buffer.from(pem, 'latin1')), onlyVerifyLeafCertCrl: true };
}

function crlParts(crls: Crls): readonly (string | Uint8Array)[] {
  return crls.length === 0 ? [] : ['crls', ...crls];
}

function encodeSecret(secret: Secret): Any {
  const bytes = Secret.encode(secret).finish();
  // A view, not a copy: there is one buffer with the key in it, not two.
  return {
    typeUrl: secretTypeUrl,
    value: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
}

function rootKeyIdsOf(roots: readonly Certificate[]): string[] {
  return roots.map((root) => toHex(keyIdOfSpki(root.spki)));
}

function pemSource(certificates: readonly Certificate[]): DataSource {
  const pem = certificates.map((certificate) => pemEncode('CERTIFICATE', certificate.der)).join('');
  return inlineBytes(Buffer.from(pem, 'latin1'));
}

function inlineBytes(value: Buffer): DataSource {
  return { specifier: { $case: 'inlineBytes', value } };
}

type Crls = readonly Uint8Array[];
const noCrls: Crls = [];

/** 16 bytes of SHA-256 in hex. Each part goes in with its length, so that no two lists read the same. */
function contentHash(kind: string, parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256').update(`${kind}\n`);
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    hash.update(`${bytes.length}\n`).update(bytes);
  }
  return toHex(new Uint8Array(hash.digest().subarray(0, 16)));
}
