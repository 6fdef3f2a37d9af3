/** Authorities, leaves and verdicts over {@link buildCertificate}, for tests of certification paths. */

import {
  type Certificate,
  encodeBitString,
  encodeBoolean,
  encodeImplicit,
  encodeInteger,
  encodeObjectIdentifier,
  encodeSequence,
  type KeyUsage,
  type PathVerdict,
  type TlsPurpose,
  verifyPath,
} from '../../pki/index.ts';
import {
  buildCertificate,
  buildNowMs,
  type BuildOptions,
  type Built,
  extension,
} from './build-certificate.ts';

export interface AuthorityExtensions {
  readonly pathLength?: number;
  /** Empty for no key usage at all. */
  readonly usages?: readonly KeyUsage[];
  readonly more?: readonly Uint8Array[];
}

export function buildAuthority(options: BuildOptions, p: AuthorityExtensions = {}): Built {
  const { pathLength, usages = ['keyCertSign', 'cRLSign'], more = [] } = p;
  const constraints = encodeSequence(
    encodeBoolean(true),
    ...(pathLength === undefined ? [] : [encodeInteger(pathLength)]),
  );
  return buildCertificate({
    extensions: [
      extension('2.5.29.19', true, constraints),
      ...(usages.length === 0 ? [] : [keyUsage(...usages)]),
      ...more,
    ],
    ...options,
  });
}

/** A leaf that an X509-SVID reader accepts, unless `options` say otherwise. */
export function buildLeaf(options: BuildOptions): Built {
  return buildCertificate({ extensions: leafExtensions(), ...options });
}

export function leafExtensions(uri = 'spiffe://mesh.test/x'): Uint8Array[] {
  return [
    keyUsage('digitalSignature'),
    extendedKeyUsage('serverAuth', 'clientAuth'),
    subjectAltName({ uris: [uri] }),
  ];
}

export function keyUsage(...usages: readonly KeyUsage[]): Uint8Array {
  const bits = usages.map((usage) => usageBits.indexOf(usage));
  // All the bits used in tests are among the first eight, so one octet holds them.
  const octet = bits.reduce((value, bit) => value | (0x80 >> bit), 0);
  return extension('2.5.29.15', true, encodeBitString(Uint8Array.of(octet), 7 - Math.max(...bits)));
}

export function extendedKeyUsage(...purposes: readonly (TlsPurpose | 'any')[]): Uint8Array {
  const list = purposes.map((purpose) => encodeObjectIdentifier(purposeOids[purpose]));
  return extension('2.5.29.37', false, encodeSequence(...list));
}

export interface Names {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly emails?: readonly string[];
  readonly ipAddresses?: readonly Uint8Array[];
  /** Whole GeneralName elements. */
  readonly others?: readonly Uint8Array[];
}

export function subjectAltName(names: Names, critical = false): Uint8Array {
  const texts = (number: number, list: readonly string[] = []): Uint8Array[] =>
    list.map((text) => encodeImplicit(number, new TextEncoder().encode(text)));
  const list = encodeSequence(
    ...texts(6, names.uris),
    ...texts(2, names.dnsNames),
    ...texts(1, names.emails),
    ...(names.ipAddresses ?? []).map((address) => encodeImplicit(7, address)),
    ...(names.others ?? []),
  );
  return extension('2.5.29.17', critical, list);
}

export interface Judged {
  readonly chain: readonly Certificate[];
  readonly anchors: readonly Certificate[];
  readonly atMs?: number;
  readonly purpose?: TlsPurpose;
}

export function judgePath({ atMs = buildNowMs, ...rest }: Judged): PathVerdict {
  return verifyPath({ atMs, ...rest });
}

/** `valid`, or the code of the refusal. */
export function codeOf(judged: Judged): string {
  const verdict = judgePath(judged);
  return verdict.kind === 'refused' ? verdict.code : verdict.kind;
}

export function certs(...built: readonly Built[]): readonly Certificate[] {
  return built.map(({ certificate }) => certificate);
}

const usageBits: readonly KeyUsage[] = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
];

const purposeOids = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const;
