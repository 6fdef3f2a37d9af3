import { beforeAll, describe, expect, test } from 'vitest';
import { parsePeerPolicy } from '../../../policies/index.ts';
import { type BundleSet, bundleSetOf } from '../../../spiffe/index.ts';
import { makeTestPki, type TestLeaf, type TestPki } from '../../../test/fakes/test-pki.ts';
import { noRevocationLists } from './revoked-peers.ts';
import { createPeerMemory, type PeerOutcome, verifyPeer } from './verify-peer.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const policy = parsePeerPolicy(['spiffe://mesh.test/web', 'spiffe://partner.test/*']);

let mesh: TestPki;
let partner: TestPki;
let impostor: TestPki;
let web: TestLeaf;
let both: BundleSet;

beforeAll(async () => {
  mesh = await makeTestPki({ nowMs });
  partner = await makeTestPki({ nowMs, trustDomain: 'partner.test' });
  // Another authority for the same trust domain: the name proves nothing.
  impostor = await makeTestPki({ nowMs });
  web = await mesh.issueLeaf({ id: '/web' });
  both = bundleSetOf([mesh.bundle, partner.bundle]);
});

function verify(chain: readonly Uint8Array[], bundles = both, atMs = nowMs): PeerOutcome {
  const memory = createPeerMemory();
  const rest = { lists: noRevocationLists, purpose: 'clientAuth', policy, memory } as const;
  return verifyPeer({ ...rest, chain, bundles, nowMs: atMs });
}

describe('a peer is accepted', () => {
  test('on the list, under the bundle of its own trust domain', () => {
    expect(verify(web.chainDer)).toMatchObject({ kind: 'accepted', id: 'spiffe://mesh.test/web' });
  });

  test('of a whole trust domain on the list', async () => {
    const leaf = await partner.issueLeaf({ id: '/anything' });
    expect(verify(leaf.chainDer).kind).toBe('accepted');
  });

  test('again, without its signatures being checked again', () => {
    const memory = createPeerMemory();
    const lists = noRevocationLists;
    const purpose = 'clientAuth';
    const options = { chain: web.chainDer, lists, purpose, policy, nowMs, memory } as const;
    verifyPeer({ ...options, bundles: both });
    const { size } = memory.verifiedPairs;
    expect(size).toBeGreaterThan(0);
    expect(memory.certificates.size).toBe(2);
    expect(verifyPeer({ ...options, bundles: both }).kind).toBe('accepted');
    expect(memory.verifiedPairs.size).toBe(size);
    expect(memory.certificates.size).toBe(2);
    // What is remembered is no trust: without the bundle the same chain is worth nothing.
    const without = bundleSetOf([partner.bundle]);
    expect(verifyPeer({ ...options, bundles: without }).kind).toBe('refused');
  });
});

describe('a peer is refused', () => {
  test.for([
    ['without a certificate', 'no_certificate', async () => []],
    [
      'with bytes that are no certificate',
      'certificate_unreadable',
      async () => [new Uint8Array(9)],
    ],
    [
      'that is not on the list',
      'peer_not_allowed',
      async () => (await mesh.issueLeaf({ id: '/other' })).chainDer,
    ],
    [
      'that is expired',
      'certificate_untrusted',
      async () => (await mesh.issueLeaf({ id: '/web', notAfterMs: nowMs - 1000 })).chainDer,
    ],
    [
      'that is not valid yet',
      'certificate_untrusted',
      async () => (await mesh.issueLeaf({ id: '/web', notBeforeMs: nowMs + 60_000 })).chainDer,
    ],
    [
      'of the right trust domain under an authority that is not in its bundle',
      'certificate_untrusted',
      async () => (await impostor.issueLeaf({ id: '/web' })).chainDer,
    ],
    [
      'whose certificate is from the authority of another trust domain we also trust',
      'certificate_untrusted',
      async () => (await partner.issueLeaf({ id: 'spiffe://mesh.test/web' })).chainDer,
    ],
    [
      'of a trust domain without a bundle',
      'certificate_untrusted',
      async () => {
        const stranger = await makeTestPki({ nowMs, trustDomain: 'stranger.test' });
        return (await stranger.issueLeaf({ id: '/web' })).chainDer;
      },
    ],
    [
      'that presents an authority as its leaf',
      'certificate_untrusted',
      async () => [mesh.issuing.der],
    ],
    ['that leaves its issuer out', 'certificate_untrusted', async () => [web.der]],
  ] as const)('%s', async ([, code, chain]) => {
    expect(verify(await chain())).toMatchObject({ kind: 'refused', code });
  });

  test('once its certificate has expired, though its signatures are remembered', () => {
    expect(verify(web.chainDer, both, web.certificate.notAfterMs + 1000)).toMatchObject({
      kind: 'refused',
      code: 'certificate_untrusted',
    });
  });
});
