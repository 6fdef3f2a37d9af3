import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { bundleSetOf, parseTrustDomain } from '../spiffe/index.ts';
import {
  coversTrustDomain,
  findSecret,
  isPending,
  namesOf,
  resolveSecretName,
} from './secret-name.ts';
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
] as const)('[N1] the name %s', ([name, expected]) => {
  expect(findSecret(secrets, resolveSecretName(name))).toEqual(expected);
  expect(findSecret(nothing, resolveSecretName(name))).toBeUndefined();
});

test.for([
  ['session-ticket-keys', { kind: 'ticket_keys' }],
  ['db-password', { kind: 'named', name: 'db-password' }],
  ['secret:db-password', { kind: 'named', name: 'db-password' }],
  ['web.tls_1', { kind: 'named', name: 'web.tls_1' }],
  ['x'.repeat(128), { kind: 'named', name: 'x'.repeat(128) }],
  ['secret:default', { kind: 'unknown' }],
  ['Web', { kind: 'unknown' }],
  ['team/web', { kind: 'unknown' }],
  ['web-', { kind: 'unknown' }],
  ['secret:ROOTCA', { kind: 'unknown' }],
  ['secret:session-ticket-keys', { kind: 'unknown' }],
  ['secret:', { kind: 'unknown' }],
  ['secret:file-root:system', { kind: 'unknown' }],
  ['file-root:system', { kind: 'unknown' }],
  ['file-root:/etc/ca.pem', { kind: 'unknown' }],
  ['file-cert:/a.pem~/b.pem', { kind: 'unknown' }],
  ['spiffe://MESH.test/web', { kind: 'unknown' }],
  ['with space', { kind: 'unknown' }],
  ['/absolute', { kind: 'unknown' }],
  ['x'.repeat(129), { kind: 'unknown' }],
] as const)('the name %s is of its kind', ([name, kind]) => {
  expect(resolveSecretName(name)).toMatchObject(kind);
});

test('what is missing is on its way, or absent', () => {
  const pendingIn = (set: Partial<SecretSet>, name: string): boolean =>
    isPending({ ...nothing, ...set }, resolveSecretName(name));
  expect(pendingIn({}, 'default')).toBe(false);
  expect(pendingIn({ pending: new Set(['default']) }, 'default')).toBe(true);
  expect(pendingIn({ pending: new Set(['default']) }, 'spiffe://mesh.test/web')).toBe(false);
  expect(pendingIn({ pending: 'everything' }, 'ROOTCA')).toBe(true);
  expect(pendingIn({ pending: 'everything' }, 'file-root:system')).toBe(false);
  // What is fetched on demand is on its way until the source says otherwise.
  expect(pendingIn({}, 'db-password')).toBe(true);
  expect(pendingIn({ denied: new Set(['db-password']) }, 'secret:db-password')).toBe(false);
});

test('[N3] an alias stands for another name, once', () => {
  const aliases = new Map([
    ['server_cert', 'default'],
    ['loop', 'server_cert'],
    ['default', 'spiffe://mesh.test/api'],
  ]);
  expect(resolveSecretName('server_cert', aliases)).toEqual({ kind: 'default_svid' });
  expect(resolveSecretName('default', aliases)).toMatchObject({ kind: 'svid' });
  expect(resolveSecretName('loop', aliases)).toEqual({ kind: 'named', name: 'server_cert' });
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

test('[K5] a bundle without roots is not ready: none is ever sent empty', () => {
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
