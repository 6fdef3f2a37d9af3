import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { buildCertificate, type Built, extension } from '../../test/fakes/build-certificate.ts';
import {
  buildAuthority,
  buildLeaf,
  certs,
  codeOf,
  extendedKeyUsage,
  type Judged,
  keyUsage,
  leafExtensions,
} from '../../test/fakes/build-path.ts';
import type { Certificate } from '../certificate.ts';
import { encodeInteger } from '../der/encode.ts';
import type { PathRefusalCode } from './path-refusal.ts';

const root = buildAuthority({ name: 'root' });
const issuing = buildAuthority({ name: 'issuing', issuer: root }, { pathLength: 0 });
const leaf = buildLeaf({ name: 'leaf', issuer: issuing });

interface PathCase extends Partial<Judged> {
  readonly name: string;
  readonly chain: readonly Certificate[];
  readonly expected: PathRefusalCode | 'valid';
}

describe('authorities', () => {
  const issuedBy = (issuer: Built): readonly Certificate[] =>
    certs(buildLeaf({ name: 'x', issuer }), issuer);
  const noCa = buildLeaf({ name: 'no ca', issuer: root });
  const noUsage = buildAuthority({ name: 'no usage', issuer: root }, { usages: ['cRLSign'] });
  const absentUsage = buildAuthority({ name: 'absent usage', issuer: root }, { usages: [] });
  const below = buildAuthority({ name: 'below', issuer: issuing });
  // The same name and a new key, signed by the old one: RFC 5280 does not count it.
  const renewed = buildAuthority({ name: 'issuing', issuer: issuing }, { pathLength: 0 });
  const bareRoot = buildCertificate({ name: 'root', keys: root.keys });

  test.for<PathCase>([
    { name: 'a leaf that issues', chain: issuedBy(noCa), expected: 'not_a_ca' },
    {
      name: 'an authority that may not sign certificates',
      chain: issuedBy(noUsage),
      expected: 'key_usage',
    },
    { name: 'an authority without key usage', chain: issuedBy(absentUsage), expected: 'valid' },
    {
      name: 'an authority below path length 0',
      chain: [...issuedBy(below), issuing.certificate],
      expected: 'path_length',
    },
    {
      name: 'a self-issued one below path length 0',
      chain: [...issuedBy(renewed), issuing.certificate],
      expected: 'valid',
    },
    {
      name: 'an anchor that is no authority',
      chain: certs(leaf, issuing),
      anchors: certs(bareRoot),
      expected: 'not_a_ca',
    },
  ])('$name', judges);
});

describe('signatures', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const edwards = generateKeyPairSync('ed25519');
  const anchored = (keys: Built['keys']): Judged => {
    const anchor = buildAuthority({ name: 'anchor', keys });
    return { chain: certs(buildLeaf({ name: 'x', issuer: anchor })), anchors: certs(anchor) };
  };
  const broken = new Uint8Array(leaf.certificate.signature);
  broken[12] = (broken[12] ?? 0) ^ 1;
  const changed = buildLeaf({ name: 'leaf', issuer: issuing, signature: broken });
  // ECDSA named in the certificate, RSA in the issuer's key.
  const confused = buildAuthority({ name: 'issuing', keys: rsa, issuer: root });

  test.for<PathCase>([
    { name: 'RSA', ...anchored(rsa), expected: 'valid' },
    { name: 'RSA of 1024 bits', ...anchored(weak), expected: 'key' },
    { name: 'Ed25519', ...anchored(edwards), expected: 'valid' },
    {
      name: 'one bit of a signature changed',
      chain: certs(changed, issuing),
      expected: 'signature',
    },
    {
      name: 'an algorithm of another type of key',
      chain: certs(leaf, confused),
      expected: 'signature',
    },
  ])('$name', judges);
});

describe('extensions', () => {
  const unknown = extension('1.3.6.1.4.1.99999.1', true, encodeInteger(1));
  const unknownPlain = extension('1.3.6.1.4.1.99999.1', false, encodeInteger(1));
  const withLeaf = (...extensions: readonly Uint8Array[]): readonly Certificate[] =>
    certs(buildLeaf({ name: 'x', issuer: issuing, extensions }), issuing);
  const oddRoot = buildAuthority({ name: 'root', keys: root.keys }, { more: [unknown] });

  test.for<PathCase>([
    {
      name: 'an unknown one',
      chain: withLeaf(...leafExtensions(), unknownPlain),
      expected: 'valid',
    },
    {
      name: 'an unknown critical one',
      chain: withLeaf(...leafExtensions(), unknown),
      expected: 'unknown_critical_extension',
    },
    {
      name: 'an unknown critical one in the anchor',
      chain: certs(leaf, issuing),
      anchors: certs(oddRoot),
      expected: 'unknown_critical_extension',
    },
  ])('$name', judges);
});

describe('purpose', () => {
  const usage = keyUsage('digitalSignature');
  const noSignature = keyUsage('keyAgreement');
  const server = extendedKeyUsage('serverAuth');
  const any = extendedKeyUsage('any');
  const withLeaf = (...extensions: readonly Uint8Array[]): readonly Certificate[] =>
    certs(buildLeaf({ name: 'x', issuer: issuing, extensions }), issuing);
  const serverOnly = buildAuthority({ name: 'server only', issuer: root }, { more: [server] });
  const below = certs(buildLeaf({ name: 'x', issuer: serverOnly }), serverOnly);

  test.for<PathCase>([
    {
      name: 'both purposes, as server',
      chain: certs(leaf, issuing),
      purpose: 'serverAuth',
      expected: 'valid',
    },
    {
      name: 'both purposes, as client',
      chain: certs(leaf, issuing),
      purpose: 'clientAuth',
      expected: 'valid',
    },
    {
      name: 'no extended key usage',
      chain: withLeaf(usage),
      purpose: 'clientAuth',
      expected: 'valid',
    },
    { name: 'any purpose', chain: withLeaf(usage, any), purpose: 'clientAuth', expected: 'valid' },
    {
      name: 'a server as server',
      chain: withLeaf(usage, server),
      purpose: 'serverAuth',
      expected: 'valid',
    },
    {
      name: 'a server as client',
      chain: withLeaf(usage, server),
      purpose: 'clientAuth',
      expected: 'purpose',
    },
    { name: 'a server, nobody asks', chain: withLeaf(usage, server), expected: 'valid' },
    {
      name: 'an authority for servers, as server',
      chain: below,
      purpose: 'serverAuth',
      expected: 'valid',
    },
    {
      name: 'an authority for servers, as client',
      chain: below,
      purpose: 'clientAuth',
      expected: 'purpose',
    },
    {
      name: 'a key that may not sign',
      chain: withLeaf(noSignature),
      purpose: 'clientAuth',
      expected: 'key_usage',
    },
    {
      name: 'a key that may not sign, nobody asks',
      chain: withLeaf(noSignature),
      expected: 'valid',
    },
  ])('$name', judges);
});

function judges({ anchors = certs(root), expected, ...rest }: PathCase): void {
  expect(codeOf({ anchors, ...rest })).toBe(expected);
}
