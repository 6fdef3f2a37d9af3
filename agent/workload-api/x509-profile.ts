/** The X.509 profile of the Workload API (SPIFFE_Workload_API.md §5; rules ). */

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { X509BundlesResponse, X509SVID, X509SVIDResponse } from '../../api/index.ts';
import { concatBytes } from '../../core/index.ts';
import { type Certificate, privateKeyToPkcs8Der } from '../../pki/index.ts';
import type { KeyedSvid } from '../../sds-server/index.ts';
import { type Bundle, spiffeIdOf } from '../../spiffe/index.ts';
import type { StateMessage } from './known-states.ts';
import { type Known, uniqueHint } from './workload-call.ts';

/** Undefined while the first identity has no SVID: A-5 makes the first the default, and it must not waver. */
export function svidResponse(known: Known): StateMessage<X509SVIDResponse> | undefined {
  const { identities, bundles, crls, trustDomain } = known;
  const own = bundles.get(trustDomain);
  if (identities[0]?.svid === undefined || own === undefined) return undefined;
  return {
    parts: [
      ...identities.flatMap(({ entry, svid }) => (svid === undefined ? [] : [svid, entry.hint])),
      ...crls,
      ...bundleParts(known),
    ],
    message() {
      const bundle = concatenated(own.x509Authorities);
      const hints = new Set<string>();
      return {
        svids: identities.flatMap(({ entry, svid }) =>
          svid === undefined ? [] : [svidMessage(svid, bundle, uniqueHint(entry, hints))],
        ),
        crl: crls.map((der) => Buffer.from(der)),
        federatedBundles: bundleMap(withCertificates(known).filter((other) => other !== own)),
      };
    },
  };
}

export function x509BundlesResponse(known: Known): StateMessage<X509BundlesResponse> {
  const { crls } = known;
  return {
    parts: [...crls, ...bundleParts(known)],
    message: () => ({
      crl: crls.map((der) => Buffer.from(der)),
      bundles: bundleMap(withCertificates(known)),
    }),
  };
}

/** A domain of JWT keys alone is left out: some clients refuse an empty bundle together with all the others. */
function withCertificates({ bundles, trustDomain }: Known): readonly Bundle[] {
  return [...bundles.values()].filter(
    (each) => each.trustDomain === trustDomain || each.x509Authorities.length > 0,
  );
}

function svidMessage(svid: KeyedSvid, bundle: Buffer, hint: string): X509SVID {
  const key = privateKeyToPkcs8Der(svid.privateKey);
  return {
    spiffeId: svid.id,
    x509Svid: concatenated(svid.chain),
    // A view: a copy would stand in a slab that lives as long as anything else in it.
    x509SvidKey: Buffer.from(key.buffer, key.byteOffset, key.length),
    bundle,
    hint,
  };
}

function bundleMap(bundles: readonly Bundle[]): { [key: string]: Buffer } {
  return Object.fromEntries(
    bundles.map((bundle) => [
      spiffeIdOf(bundle.trustDomain, ''),
      concatenated(bundle.x509Authorities),
    ]),
  );
}

/** JWT keys come and go in the same bundles, and are nothing to a reader of X.509 bundles. */
function bundleParts(known: Known): readonly string[] {
  return withCertificates(known).map(fingerprintOf);
}

function fingerprintOf(bundle: Bundle): string {
  const known = fingerprints.get(bundle);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(`${bundle.trustDomain}\n`);
  for (const { der } of bundle.x509Authorities) hash.update(`${der.length}\n`).update(der);
  const fingerprint = hash.digest('hex');
  fingerprints.set(bundle, fingerprint);
  return fingerprint;
}

function concatenated(certificates: readonly Certificate[]): Buffer {
  return Buffer.from(concatBytes(...certificates.map((certificate) => certificate.der)));
}

// One bundle is seen by every stream of the machine; it goes when the bundle does.
const fingerprints = new WeakMap<Bundle, string>();
