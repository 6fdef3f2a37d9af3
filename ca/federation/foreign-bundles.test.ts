import { expect, test } from 'vitest';
import {
  type Bundle,
  formatBundle,
  parseTrustDomain,
  type TrustDomain,
} from '../../spiffe/index.ts';
import { FakeJwtKey } from '../../test/fakes/fake-jwt-key.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { makeTestPki } from '../../test/fakes/test-pki.ts';
import { federatedMessages } from '../node-api/federated-messages.ts';
import { storePrefixes } from '../store/key-layout.ts';
import { openForeignBundles } from './foreign-bundles.ts';

const nowMs = Date.UTC(2026, 0, 1);
const mesh = parseTrustDomain('mesh.test');
const partner = parseTrustDomain('partner.test');
const ours = await makeTestPki({ trustDomain: mesh, nowMs });
const theirs = await makeTestPki({ trustDomain: partner, nowMs });
const ourKey = new FakeJwtKey('ours');
const theirKey = new FakeJwtKey('theirs');
const leaf = await theirs.issueLeaf({ id: '/web' });
const actor = { kind: 'admin', id: 'uid:0' } as const;

const ownBundle: Bundle = {
  trustDomain: mesh,
  sequence: 1n,
  x509Authorities: [ours.root.certificate],
  jwtAuthorities: [ourKey],
};

function documentOf(sequence: bigint, change: Partial<Bundle> = {}): string {
  return formatBundle({
    trustDomain: partner,
    sequence,
    x509Authorities: [theirs.root.certificate],
    jwtAuthorities: [theirKey],
    ...change,
  });
}

async function setUp() {
  const store = new MemoryStore();
  const audit = new RecordingAuditLog();
  const clock = new ManualClock(nowMs);
  const trust = { current: () => ({ bundle: ownBundle }) };
  const open = () => openForeignBundles({ store, audit, clock, trust });
  const bundles = await open();
  const set = (text: string, force = false, trustDomain: TrustDomain = partner) =>
    bundles.set({ actor, trustDomain, text, force });
  return { store, audit, bundles, set, open, clock };
}

test('a bundle is recorded, stored and shown, and found again after a restart', async () => {
  const { audit, bundles, set, open } = await setUp();
  const shown: number[] = [];
  bundles.state.subscribe(({ bundles: all }) => shown.push(all.size));
  const stored = await set(documentOf(7n));
  expect(stored.bundle).toMatchObject({ sequence: 7n, trustDomain: partner });
  expect(audit.events.at(-1)).toMatchObject({
    type: 'federated_bundle.set',
    bundle: { trustDomain: partner, sequence: '7', x509Authorities: 1, jwtAuthorities: 1 },
  });
  expect(shown).toEqual([1]);
  expect((await open()).get(partner)).toMatchObject({ document: stored.document });
  await bundles.delete(actor, partner);
  expect(audit.events.at(-1)).toMatchObject({ type: 'federated_bundle.deleted' });
  expect(() => bundles.get(partner)).toThrow(/no bundle of trust domain partner.test/);
  expect((await open()).state.current().bundles.size).toBe(0);
});

test('PEM certificates are taken too, and counted on with each change', async () => {
  const { set } = await setUp();
  expect((await set(theirs.root.pem)).bundle.sequence).toBe(0n);
  const more = await makeTestPki({ trustDomain: partner, nowMs });
  expect((await set(theirs.root.pem + more.root.pem)).bundle.sequence).toBe(1n);
  expect((await set(theirs.root.pem + more.root.pem)).bundle.sequence).toBe(1n);
});

test('B-2: the sequence never goes back, nor stands still with another content, unless forced', async () => {
  const { set, audit } = await setUp();
  await set(documentOf(7n));
  for (const text of [documentOf(6n), documentOf(7n, { jwtAuthorities: [] })]) {
    await expect(set(text)).rejects.toMatchObject({
      code: 'federated_bundle_sequence',
      kind: 'failed_precondition',
    });
  }
  // The same again is no change, and no record.
  const records = audit.events.length;
  await set(documentOf(7n));
  expect(audit.events.length).toBe(records);
  expect((await set(documentOf(8n))).bundle.sequence).toBe(8n);
  expect((await set(documentOf(6n), true)).bundle.sequence).toBe(6n);
  expect(audit.events.at(-1)).toMatchObject({ forced: true, before: { sequence: '8' } });
});

test.for<[string, string, string]>([
  ['no document', '{"keys"', 'federated_bundle_invalid'],
  ['no keys member', '{}', 'federated_bundle_invalid'],
  ['no authority at all', '{"keys":[]}', 'federated_bundle_empty'],
  [
    'a private JWK',
    '{"keys":[{"kty":"EC","use":"jwt-svid","kid":"a","d":"AQ"}]}',
    'federated_bundle_private',
  ],
  ['a private key in PEM', `${theirs.root.pem}${leaf.keyPem}`, 'federated_bundle_private'],
  ['a leaf', leaf.chainPem, 'federated_bundle_authority'],
  ['our own root', ours.root.pem, 'federated_bundle_authority'],
  ['our own JWT key', documentOf(1n, { jwtAuthorities: [ourKey] }), 'federated_bundle_authority'],
  ['more than is read', ' '.repeat(200_000), 'federated_bundle_size'],
])('%s is refused, and a good bundle after it is not', async ([, text, code]) => {
  const { set, store, audit } = await setUp();
  await expect(set(text)).rejects.toMatchObject({ code });
  expect(audit.events).toEqual([]);
  expect((await store.range({ prefix: storePrefixes.federatedBundles })).items).toEqual([]);
  await set(documentOf(1n));
  expect(audit.events.length).toBe(1);
});

test('an authority that names another trust domain, or has ended, is refused', async () => {
  const { set, clock, bundles } = await setUp();
  const other = parseTrustDomain('other.test');
  await expect(set(theirs.root.pem, false, other)).rejects.toThrow(/it is spiffe:\/\/partner.test/);
  await set(theirs.root.pem);
  await bundles.delete(actor, partner);
  await clock.advance(40 * 365 * 86_400_000);
  await expect(set(theirs.root.pem)).rejects.toThrow(/it ended at/);
});

test('the own trust domain is refused, forced or not', async () => {
  const { set } = await setUp();
  for (const force of [false, true]) {
    await expect(set(theirs.root.pem, force, mesh)).rejects.toMatchObject({
      code: 'federated_bundle_own',
    });
  }
  await set(theirs.root.pem, false, partner);
});

test('a node is told of the domains that its entries name, and of no other', async () => {
  const { set, bundles } = await setUp();
  await set(documentOf(1n));
  const told = (...names: readonly string[]) =>
    federatedMessages(bundles.state.current(), [
      { federatesWith: names.map(parseTrustDomain) },
      { federatesWith: [] },
    ]);
  expect(told('other.test')).toMatchObject({ federatedBundles: {}, content: '' });
  expect(Object.keys(told('partner.test', 'other.test').federatedBundles)).toEqual([partner]);
  const before = told('partner.test').content;
  await set(documentOf(2n));
  expect(told('partner.test').content).not.toBe(before);
});
