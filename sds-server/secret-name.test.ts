import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { bundleSetOf, parseTrustDomain } from '../spiffe/index.ts';
import { coversTrustDomain, findSecret, namesOf, resolveSecretName } from './secret-name.ts';
import type { SecretSet } from './secret-source.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const other = await makeTestPki({ nowMs, trustDomain: 'other.test' });
const web = await pki.issueLeaf({ id: '/web' });
const api = await pki.issueLeaf({ id: '/api' });

const secrets: SecretSet = {
  trustDomain: pki.trustDomain,
  svids: [web, api],
  defaultSvid: web,
  bundles: bundleSetOf([pki.bundle, other.bundle]),
};
const nothing: SecretSet = { ...secrets, svids: [], defaultSvid: undefined, bundles: new Map() };

test.for([
  ['default', { kind: 'svid', svid: web }],
  ['spiffe://mesh.test/api', { kind: 'svid', svid: api }],
  ['ROOTCA', { kind: 'bundle', bundle: pki.bundle }],
  ['spiffe://mesh.test', { kind: 'bundle', bundle: pki.bundle }],
  ['spiffe://other.test', { kind: 'bundle', bundle: other.bundle }],
  ['ALL', { kind: 'all_bundles', bundles: secrets.bundles }],
  ['spiffe://mesh.test/not-mine', undefined],
  ['spiffe://unknown.test', undefined],
  ['Default', undefined],
  ['', undefined],
  ['file-root:system', undefined],
  ['spiffe://mesh.test/', undefined],
  ['spiffe://MESH.test', undefined],
] as const)('the name %s', ([name, expected]) => {
  expect(findSecret(secrets, resolveSecretName(name))).toEqual(expected);
  expect(findSecret(nothing, resolveSecretName(name))).toBeUndefined();
});

test('an alias stands for another name, once', () => {
  const aliases = new Map([
    ['server_cert', 'default'],
    ['loop', 'server_cert'],
    ['default', 'spiffe://mesh.test/api'],
  ]);
  expect(resolveSecretName('server_cert', aliases)).toEqual({ kind: 'default_svid' });
  expect(resolveSecretName('default', aliases)).toMatchObject({ kind: 'svid' });
  expect(resolveSecretName('loop', aliases)).toMatchObject({ kind: 'unknown' });
});

test('a name of any text resolves to something and harms nobody', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `spiffe://${text}`),
      ),
      (name) => {
        expect(findSecret(nothing, resolveSecretName(name))).toBeUndefined();
      },
    ),
  );
});

test('a bundle without roots is not ready: none is ever sent empty', () => {
  const empty = { ...pki.bundle, x509Authorities: [] };
  const set: SecretSet = { ...secrets, bundles: bundleSetOf([empty]) };
  for (const name of ['ROOTCA', 'ALL', 'spiffe://mesh.test']) {
    expect(findSecret(set, resolveSecretName(name))).toBeUndefined();
  }
  expect(namesOf(set)).toEqual(['spiffe://mesh.test/web', 'spiffe://mesh.test/api']);
});

test('everything is each identity and each trust domain, by its own name', () => {
  expect(namesOf(secrets)).toEqual([
    'spiffe://mesh.test/web',
    'spiffe://mesh.test/api',
    'spiffe://mesh.test',
    'spiffe://other.test',
  ]);
});

test('a validation context is known by its name alone', () => {
  const covers = (name: string): boolean =>
    coversTrustDomain(resolveSecretName(name), parseTrustDomain('mesh.test'));
  expect(['ROOTCA', 'ALL', 'spiffe://mesh.test'].map(covers)).toEqual([true, true, true]);
  expect(['default', 'spiffe://mesh.test/web', 'spiffe://other.test', '?'].map(covers)).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

test('revocation lists go with our own roots, never with those of another domain', () => {
  const crls = [Uint8Array.of(1)];
  const revoking = { ...secrets, crls };
  const find = (name: string) => findSecret(revoking, resolveSecretName(name));
  expect(find('ROOTCA')).toMatchObject({ crls });
  expect(find('spiffe://mesh.test')).toMatchObject({ crls });
  expect(find('ALL')).toMatchObject({ crls });
  expect(find('spiffe://other.test')).not.toHaveProperty('crls');
});
