import { expect, test } from 'vitest';
import {
  type Certificate,
  type Crl,
  issueCrl,
  parseCrl,
  VerifiedPairs,
} from '../../../pki/index.ts';
import { type BundleSet, bundleSetOf, parseSpiffeId } from '../../../spiffe/index.ts';
import { makeTestPki, type TestLeaf, type TestPki } from '../../../test/fakes/test-pki.ts';
import { LivePeers } from './live-peers.ts';
import { noRevocationLists, RevocationLists } from './revoked-peers.ts';
import type { TlsTrust } from './tls-material.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const mesh = await makeTestPki({ nowMs });
const partner = await makeTestPki({ nowMs, trustDomain: 'partner.test' });
const web = await mesh.issueLeaf({ id: '/web' });
const orders = await mesh.issueLeaf({ id: '/orders' });
const guest = await partner.issueLeaf({ id: '/guest' });

/** Peers that write down how they end. */
function watched(): {
  peers: LivePeers;
  events: string[];
  add: (name: string, leaf: TestLeaf, of?: TestPki, generation?: number) => () => void;
} {
  const peers = new LivePeers(new VerifiedPairs());
  const events: string[] = [];
  return {
    peers,
    events,
    add: (name, leaf, of = mesh, generation = 1) =>
      peers.add({
        id: parseSpiffeId(leaf.id),
        certificate: {
          path: [leaf.certificate, of.issuing.certificate, of.root.certificate],
          verifiedAtMs: nowMs,
        },
        generation,
        retire: () => void events.push(`${name} retires`),
        end: (why) => void events.push(`${name} ${why}`),
      }),
  };
}

function trust(bundles: BundleSet, lists = noRevocationLists): TlsTrust {
  return { bundles, lists, version: '1', loadedAtMs: nowMs };
}

const both = bundleSetOf([mesh.bundle, partner.bundle]);

async function listOf(leaf: Certificate): Promise<Crl> {
  const { subject, extensions } = mesh.issuing.certificate;
  const values = {
    issuer: subject,
    issuerKeyId: extensions.subjectKeyId ?? new Uint8Array(),
    number: 1n,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + 1000,
    revoked: [{ serial: leaf.serial, revokedAtMs: nowMs, reason: 'keyCompromise' as const }],
  };
  return parseCrl(await issueCrl(values, mesh.issuing.signer));
}

test('a revoked peer ends, once, and the others stay', async () => {
  const { peers, events, add } = watched();
  add('web 1', web);
  add('web 2', web);
  add('orders', orders);
  add('web 3', web)();
  peers.check(trust(both));
  expect(events).toEqual([]);
  const lists = new RevocationLists([await listOf(web.certificate)]);
  peers.check(trust(both, lists));
  peers.check(trust(both, lists));
  expect(events).toEqual(['web 1 revoked', 'web 2 revoked']);
  expect(peers.size).toBe(1);
});

test('a peer ends when the bundle of its own trust domain no longer vouches for it', async () => {
  const renewed = await makeTestPki({ nowMs, trustDomain: 'partner.test' });
  const { peers, events, add } = watched();
  add('web', web);
  add('guest', guest, partner);
  // A rotation adds a root first: whoever stands under the old one stays.
  const roots = [partner.root.certificate, renewed.root.certificate];
  const rotating = { ...partner.bundle, x509Authorities: roots };
  peers.check(trust(bundleSetOf([mesh.bundle, rotating])));
  expect(events).toEqual([]);
  peers.check(trust(bundleSetOf([mesh.bundle, renewed.bundle])));
  expect(events).toEqual(['guest untrusted']);
});

test('a peer ends when its trust domain is no longer trusted at all, and never by the bundle of another', () => {
  const { peers, events, add } = watched();
  add('web', web);
  add('guest', guest, partner);
  // The roots of the partner, in the name of our own domain, vouch for nobody of the partner.
  const mixed = {
    ...mesh.bundle,
    x509Authorities: [mesh.root.certificate, partner.root.certificate],
  };
  peers.check(trust(bundleSetOf([mixed])));
  expect(events).toEqual(['guest untrusted']);
});

test('that a certificate has run out since its handshake withdraws nothing', async () => {
  const short = await mesh.issueLeaf({ id: '/short', notAfterMs: nowMs + 1000 });
  const { peers, events, add } = watched();
  add('short', short);
  peers.check(trust(both));
  expect(events).toEqual([]);
});

test('those under an earlier certificate of ours retire, then end; those under the newest stay', () => {
  const { peers, events, add } = watched();
  add('first', web, mesh, 1);
  add('second', web, mesh, 2);
  add('third', web, mesh, 3);
  peers.retireOlder(3);
  expect(events).toEqual(['first retires', 'second retires']);
  peers.endOlder(3);
  expect(events.slice(2)).toEqual(['first superseded', 'second superseded']);
  expect(peers.size).toBe(1);
});
