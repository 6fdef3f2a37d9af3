/** A secret as Envoy reads it, encoded once per content and shared by every stream that asks for it. */

import { Buffer } from 'node:buffer';
import { createHash, hash } from 'node:crypto';
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
import { isListed } from './listed-roots.ts';
import type { Bundle, BundleSet } from '../spiffe/index.ts';
import { fieldOf } from './response-bytes.ts';
import { privateKeyPemBytes } from './key-pem.ts';
import { type FoundSecret, hasRoots } from './secret-name.ts';
import type { KeyedSvid, NamedSecret, TicketKeys } from './secret-source.ts';
import type { SecretSummary } from './secret-view.ts';

export interface SecretResource extends EncodedSecret {
  readonly name: string;
  readonly summary: SecretSummary;
}

export interface EncodedSecret {
  readonly encoded: Any;
  /** `encoded` as a field of a response, tag and length before it; the value of `encoded` is a view into it. */
  readonly field: Uint8Array;
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
    const crls = 'crls' in found ? (found.crls ?? noCrls) : noCrls;
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

/** Whether a client's word could be one of our versions: what is not is no secret that it has of us, however long it is. */
export function isVersion(text: string): boolean {
  return text.length === 2 * versionBytes && /^[0-9a-f]+$/.test(text);
}

/** The version of a whole response: a hash over what it holds, whatever the order. */
export function versionOfAll(versions: ReadonlyMap<string, string>): string {
  const lines = [...versions].map(([name, version]) => `${JSON.stringify(name)} ${version}\n`);
  const text = lines.toSorted().map((line) => `${Buffer.byteLength(line)}\n${line}`);
  // As `contentHash` does, but at once: this is made for every stream at every push.
  return hash('sha256', `response\n${text.join('')}`, 'hex').slice(0, 2 * versionBytes);
}

/**
 * As {@link versionOfAll}. Most responses hold one secret, the same for all streams of a push, so the version of
 * such a one is kept with it, by name: a summary may be had under several.
 */
export function versionOfSecrets(secrets: readonly (readonly [string, SecretSummary])[]): string {
  const [only] = secrets;
  if (only === undefined || secrets.length > 1) {
    return versionOfAll(new Map(secrets.map(([name, { version }]) => [name, version])));
  }
  const [name, summary] = only;
  const known = single.get(summary);
  if (known?.name === name) return known.version;
  const version = versionOfAll(new Map([[name, summary.version]]));
  single.set(summary, { name, version });
  return version;
}

const single = new WeakMap<SecretSummary, { readonly name: string; readonly version: string }>();

function valueOf(found: FoundSecret): object {
  if (found.kind === 'svid') return found.svid;
  if (found.kind === 'bundle') return found.bundle;
  if (found.kind === 'all_bundles') return found.bundles;
  return found.kind === 'ticket_keys' ? found.ticketKeys : found.secret;
}

function encodeResource(found: FoundSecret, name: string): SecretResource {
  if (found.kind === 'svid') return encodeSvid(found.svid, name);
  if (found.kind === 'ticket_keys') return encodeTicketKeys(found.ticketKeys, name);
  if (found.kind === 'named') return encodeNamed(found.secret, name);
  const { crls = noCrls } = found;
  if (found.kind === 'bundle') return encodeBundle(found.bundle, crls, name);
  return encodeAllBundles(found.bundles, crls, name);
}

function encodeTicketKeys({ keys }: TicketKeys, name: string): SecretResource {
  return {
    name,
    // 80 random bytes a key: nobody finds them by their hash.
    summary: plainSummary(contentHash('ticket keys', keys)),
    ...encodeSecret({
      name,
      type: { $case: 'sessionTicketKeys', value: { keys: keys.map(inlineView) } },
    }),
  };
}

/** What is in it may be a word that can be guessed, so the version, which is logged, is not made of the content. */
function encodeNamed({ name: stored, version, values }: NamedSecret, name: string): SecretResource {
  const plain = values.get('');
  const others = [...values].filter(([key]) => key !== '');
  return {
    name,
    summary: plainSummary(contentHash('named', [stored, version.toString()])),
    ...encodeSecret({
      name,
      type: {
        $case: 'genericSecret',
        value: {
          secret: plain === undefined ? undefined : inlineView(plain),
          secrets: Object.fromEntries(others.map(([key, value]) => [key, inlineView(value)])),
        },
      },
    }),
  };
}

/** The bytes themselves and no copy, which nobody would wipe. */
function inlineView({ buffer, byteOffset, byteLength }: Uint8Array): DataSource {
  return inlineBytes(Buffer.from(buffer, byteOffset, byteLength));
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
  const issuerKeyId = svid.chain[0]?.extensions.authorityKeyId;
  const authorityKeyIds = issuerKeyId === undefined ? [] : [toHex(issuerKeyId)];
  return { name, summary: { version, rootKeyIds: [], authorityKeyIds }, ...encoded };
}

function encodeBundle(bundle: Bundle, crls: Crls, name: string): SecretResource {
  const roots = bundle.x509Authorities;
  const version = contentHash('roots', [...roots.map((root) => root.der), ...crlParts(crls)]);
  return {
    name,
    summary: rootsSummary(version, rootKeyIdsOf(roots)),
    ...encodeSecret({
      name,
      type: {
        $case: 'validationContext',
        value: {
          trustedCa: pemSource(roots),
          customValidatorConfig: undefined,
          ...revocation(crls, isListed(roots, crls)),
        },
      },
    }),
  };
}

/**
 * Every trust domain with its own roots: Envoy then picks by the peer's SPIFFE ID, as X-8 wants. Its validator
 * does not look at `crl`; it takes lists from among the roots, and then wants one for each link of a chain.
 */
function encodeAllBundles(bundles: BundleSet, crls: Crls, name: string): SecretResource {
  // Sorted, so that the order in which bundles were learnt does not look like a change.
  const sorted = [...bundles.values()]
    .filter(hasRoots)
    .toSorted((left, right) => (left.trustDomain < right.trustDomain ? -1 : 1));
  const isAmongRoots = sorted.some((bundle) => listsWith(bundle, crls).length > 0);
  const config = SPIFFECertValidatorConfig.encode({
    trustDomains: sorted.map((bundle) => ({
      name: bundle.trustDomain,
      trustBundle: pemSource(bundle.x509Authorities, listsWith(bundle, crls)),
    })),
  }).finish();
  const content = sorted.flatMap((bundle) => [
    bundle.trustDomain,
    ...bundle.x509Authorities.map((root) => root.der),
  ]);
  return {
    name,
    summary: rootsSummary(
      contentHash('all', [...content, ...crlParts(crls)]),
      sorted.flatMap((bundle) => rootKeyIdsOf(bundle.x509Authorities)),
    ),
    ...encodeSecret({
      name,
      type: {
        $case: 'validationContext',
        value: {
          trustedCa: undefined,
          // Where they could not stand among the roots, for our own proxy at least.
          ...revocation(isAmongRoots ? noCrls : crls, false),
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
 * The lists as Envoy takes them. It wants a list for every authority of a chain, roots too, unless it is told
 * to look at the leaf alone: an upstream root whose key we do not have has none.
 */
function revocation(
  crls: Crls,
  isWhole: boolean,
): Pick<CertificateValidationContext, 'crl' | 'onlyVerifyLeafCertCrl'> {
  if (crls.length === 0) return { crl: undefined, onlyVerifyLeafCertCrl: false };
  return { crl: pemSource([], crls), onlyVerifyLeafCertCrl: !isWhole };
}

function listsWith({ x509Authorities }: Bundle, crls: Crls): Crls {
  return isListed(x509Authorities, crls) ? crls : noCrls;
}

function crlParts(crls: Crls): readonly (string | Uint8Array)[] {
  return crls.length === 0 ? [] : ['crls', ...crls];
}

function encodeSecret(secret: Secret): EncodedSecret {
  const bytes = Secret.encode(secret).finish();
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = fieldOf({ typeUrl: secretTypeUrl, value });
  // A view, not a copy: there is one buffer with the key in it, not two.
  value.fill(0);
  const start = field.byteOffset + field.length - value.length;
  return {
    encoded: { typeUrl: secretTypeUrl, value: Buffer.from(field.buffer, start, value.length) },
    field,
  };
}

function rootsSummary(version: string, rootKeyIds: readonly string[]): SecretSummary {
  return { version, rootKeyIds, authorityKeyIds: rootKeyIds };
}

function plainSummary(version: string): SecretSummary {
  return { version, rootKeyIds: [], authorityKeyIds: [] };
}

function rootKeyIdsOf(roots: readonly Certificate[]): string[] {
  return roots.map((root) => toHex(keyIdOfSpki(root.spki)));
}

function pemSource(certificates: readonly Certificate[], crls: Crls = noCrls): DataSource {
  const blocks = [
    ...certificates.map((certificate) => pemEncode('CERTIFICATE', certificate.der)),
    ...crls.map((der) => pemEncode('X509 CRL', der)),
  ];
  return inlineBytes(Buffer.from(blocks.join(''), 'latin1'));
}

function inlineBytes(value: Buffer): DataSource {
  return { specifier: { $case: 'inlineBytes', value } };
}

type Crls = readonly Uint8Array[];
const noCrls: Crls = [];

/** 16 bytes of SHA-256 in hex. Each part goes in with its length, so that no two lists read the same. */
function contentHash(kind: string, parts: readonly (string | Uint8Array)[]): string {
  const digest = createHash('sha256').update(`${kind}\n`);
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    digest.update(`${bytes.length}\n`).update(bytes);
  }
  return toHex(new Uint8Array(digest.digest().subarray(0, versionBytes)));
}

const versionBytes = 16;
