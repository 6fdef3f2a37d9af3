import { createPrivateKey, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Secret, secretTypeUrl } from '../api/index.ts';
import { generateKeyPair, keyIdOf, type KeyKind, parsePem } from '../pki/index.ts';
import { toHex } from '../core/index.ts';
import { bundleSetOf } from '../spiffe/index.ts';
import { certificateOf, rootsOf } from '../test/fakes/sds-client.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { privateKeyPemBytes } from './key-pem.ts';
import { createResourceEncoder, versionOfAll } from './resource.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const other = await makeTestPki({ nowMs: nowMs + 1, trustDomain: 'another.test' });
const web = await pki.issueLeaf({ id: '/web' });

test.for(['ec-p256', 'ec-p384', 'rsa-2048'] as KeyKind[])(
  'the PEM of a key of kind %s is what OpenSSL writes',
  (kind) => {
    const { privateKey } = generateKeyPair(kind);
    const expected = privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(privateKeyPemBytes(privateKey).toString('latin1')).toBe(expected);
  },
);

test('a certificate secret holds the chain, leaf first, and the key that fits it', () => {
  const resource = createResourceEncoder()({ kind: 'svid', svid: web }, 'default');
  expect(resource.encoded.typeUrl).toBe(secretTypeUrl);
  const secret = Secret.decode(resource.encoded.value);
  expect(secret.name).toBe('default');
  const { chain, key } = certificateOf(secret);
  expect(chain).toBe(web.chainPem);
  expect(new X509Certificate(chain).checkPrivateKey(createPrivateKey(key))).toBe(true);
});

test('roots go as PEM under one name and by trust domain, sorted, under ALL', () => {
  const encode = createResourceEncoder();
  const one = encode({ kind: 'bundle', bundle: pki.bundle }, 'ROOTCA');
  const roots = rootsOf(Secret.decode(one.encoded.value)).get('');
  expect(roots?.map((root) => root.raw)).toEqual([Buffer.from(pki.root.der)]);
  expect(one.rootKeyIds).toEqual([toHex(keyIdOf(pki.root.signer.publicKey))]);

  const empty = { ...other.bundle, trustDomain: 'zero.test' as never, x509Authorities: [] };
  const all = (bundles: Parameters<typeof bundleSetOf>[0]) =>
    encode({ kind: 'all_bundles', bundles: bundleSetOf(bundles) }, 'ALL');
  const both = all([pki.bundle, empty, other.bundle]);
  expect([...rootsOf(Secret.decode(both.encoded.value)).keys()]).toEqual([
    'another.test',
    'mesh.test',
  ]);
  // The order in which bundles came to be known is no change.
  expect(all([other.bundle, pki.bundle]).version).toBe(both.version);
  expect(all([pki.bundle]).version).not.toBe(both.version);
});

test('a secret is encoded once per value and name, and again when it is renewed', async () => {
  const encode = createResourceEncoder();
  const first = encode({ kind: 'svid', svid: web }, 'default');
  expect(encode({ kind: 'svid', svid: web }, 'default')).toBe(first);
  const byId = encode({ kind: 'svid', svid: web }, web.id);
  expect(byId).not.toBe(first);
  expect(byId.version).toBe(first.version);
  const renewed = await pki.issueLeaf({ id: '/web' });
  expect(encode({ kind: 'svid', svid: renewed }, 'default').version).not.toBe(first.version);
});

test('versions are content hashes: equal in every process, 16 bytes in hex', () => {
  const version = (): string =>
    createResourceEncoder()({ kind: 'svid', svid: web }, 'default').version;
  expect(version()).toBe(version());
  expect(version()).toMatch(/^[0-9a-f]{32}$/);
});

test("a response's version does not depend on order, and tells different contents apart", () => {
  const entry = fc.tuple(fc.string(), fc.string());
  fc.assert(
    fc.property(fc.array(entry), fc.array(entry), (left, right) => {
      const a = new Map(left);
      const b = new Map(right);
      expect(versionOfAll(new Map([...a].toReversed()))).toBe(versionOfAll(a));
      const same = a.size === b.size && [...a].every(([name, version]) => b.get(name) === version);
      expect(versionOfAll(a) === versionOfAll(b)).toBe(same);
    }),
  );
});

describe('revocation lists', () => {
  const crls = [Uint8Array.of(1, 2, 3)];
  const contextOf = (resource: ReturnType<ReturnType<typeof createResourceEncoder>>) => {
    const { type } = Secret.decode(resource.encoded.value);
    return type?.$case === 'validationContext' ? type.value : undefined;
  };

  test.for(['bundle', 'all_bundles'] as const)('go with a %s, and are a change of it', (kind) => {
    const encode = createResourceEncoder();
    const found =
      kind === 'bundle'
        ? ({ kind, bundle: pki.bundle } as const)
        : ({ kind, bundles: pki.bundles } as const);
    const before = encode(found, 'x');
    expect(contextOf(before)).toMatchObject({ crl: undefined, onlyVerifyLeafCertCrl: false });

    const after = encode({ ...found, crls }, 'x');
    expect(after.version).not.toBe(before.version);
    // Envoy would want a list for the root as well, unless it is told to look at the leaf alone.
    expect(contextOf(after)).toMatchObject({ onlyVerifyLeafCertCrl: true });
    const specifier = contextOf(after)?.crl?.specifier;
    const pem = specifier?.$case === 'inlineBytes' ? specifier.value.toString('latin1') : '';
    expect(parsePem(pem)).toEqual([{ label: 'X509 CRL', der: crls[0] }]);

    // Encoded once for each pair of the two.
    expect(encode({ ...found, crls }, 'x')).toBe(after);
    expect(encode(found, 'x')).toBe(before);
  });
});
