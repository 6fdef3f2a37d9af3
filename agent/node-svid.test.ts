import { expect, test } from 'vitest';
import { toHex } from '../core/index.ts';
import { generateKeyPair, keyIdOf } from '../pki/index.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { checkChain } from './node-svid.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const stranger = await makeTestPki({ nowMs: nowMs + 1 });
const elsewhere = await makeTestPki({ nowMs, trustDomain: 'other.test' });
const { publicKey } = generateKeyPair('ec-p256');
const good = await pki.issueLeaf({ id: '/web', publicKey, lifetimeSeconds: 60 });
const check = (p: Partial<Parameters<typeof checkChain>[0]>) =>
  checkChain({
    certificates: good.chainDer,
    publicKey,
    bundles: pki.bundles,
    atMs: nowMs,
    ...p,
  });

test('a sound answer tells its identity, its root and its end', () => {
  expect(check({})).toMatchObject({
    id: 'spiffe://mesh.test/web',
    rootKeyId: toHex(keyIdOf(pki.root.signer.publicKey)),
    notAfterMs: nowMs + 60_000,
  });
});

test('the end is that of the first certificate of the chain to end', async () => {
  const shortLived = await makeTestPki({ nowMs, issuingLifetimeSeconds: 10 });
  const leaf = await shortLived.issueLeaf({ id: '/web', publicKey });
  const checked = check({ certificates: leaf.chainDer, bundles: shortLived.bundles });
  expect(checked.notAfterMs).toBe(nowMs + 10_000);
});

test.for([
  ['another key', { publicKey: generateKeyPair('ec-p256').publicKey }, 'is over another key'],
  ['a time before it begins', { atMs: nowMs - 3_600_000 }, 'does not verify'],
  ['a time after its end', { atMs: nowMs + 3_600_000 }, 'does not verify'],
  ['a root that we do not have', { bundles: stranger.bundles }, 'does not verify'],
  ['no bundle of its domain', { bundles: elsewhere.bundles }, 'no bundle here'],
  ['no certificate', { certificates: [] }, 'no certificate'],
  ['bytes that are none', { certificates: [Uint8Array.of(1, 2, 3)] }, 'certificate 0'],
] as const)('an answer with %s is refused', ([, more, reason]) => {
  expect(() => check({ ...more })).toThrow(reason);
});
