import { describe, expect, test } from 'vitest';
import { type Crl, issueCrl, parseCrl } from '../../../pki/index.ts';
import { parsePeerPolicy } from '../../../policies/index.ts';
import { makeTestPki, type TestPki } from '../../../test/fakes/test-pki.ts';
import { LivePeers, noRevocationLists, RevocationLists } from './revoked-peers.ts';
import { createPeerMemory, verifyPeer } from './verify-peer.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const pki = await makeTestPki({ nowMs });
const web = await pki.issueLeaf({ id: '/web' });
const orders = await pki.issueLeaf({ id: '/orders' });
const issuer = pki.issuing.certificate;

/** A list in the name of our issuing authority, signed by that of `signedBy`. */
async function listOf(serials: readonly string[], signedBy: TestPki = pki): Promise<Crl> {
  const values = {
    issuer: issuer.subject,
    issuerKeyId: issuer.extensions.subjectKeyId ?? new Uint8Array(),
    number: 1n,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + 1000,
    revoked: serials.map((serial) => ({
      serial,
      revokedAtMs: nowMs,
      reason: 'keyCompromise' as const,
    })),
  };
  return parseCrl(await issueCrl(values, signedBy.issuing.signer));
}

function verify(lists: RevocationLists, chain = web.chainDer) {
  return verifyPeer({
    chain,
    lists,
    bundles: pki.bundles,
    purpose: 'clientAuth',
    policy: parsePeerPolicy(['spiffe://mesh.test/*']),
    nowMs,
    memory: createPeerMemory(),
  });
}

describe('a handshake', () => {
  test('is refused for the certificate on the list, and for no other', async () => {
    const lists = new RevocationLists([await listOf([web.certificate.serial])]);
    expect(verify(lists)).toMatchObject({
      kind: 'refused',
      code: 'certificate_revoked',
      detail: expect.stringContaining('keyCompromise'),
    });
    expect(verify(lists, orders.chainDer).kind).toBe('accepted');
    expect(verify(noRevocationLists).kind).toBe('accepted');
  });

  test('is accepted where the list is of another authority', async () => {
    const other = await makeTestPki({ nowMs });
    const leaf = await other.issueLeaf({ id: '/web' });
    const lists = new RevocationLists([await listOf([leaf.certificate.serial])]);
    expect(lists.whyRevoked(leaf.certificate, other.issuing.certificate)).toBeUndefined();
  });

  test('is refused where the list of the issuer is not its own', async () => {
    const impostor = await makeTestPki({ nowMs });
    const lists = new RevocationLists([await listOf([], impostor)]);
    expect(verify(lists)).toMatchObject({ code: 'certificate_revoked' });
    expect(verify(new RevocationLists([await listOf([])])).kind).toBe('accepted');
  });

  test('is refused if any of several lists names it', async () => {
    const lists = [await listOf([]), await listOf([web.certificate.serial])];
    expect(verify(new RevocationLists(lists)).kind).toBe('refused');
  });
});

describe('live connections', () => {
  test('end when their peer comes to be revoked, once, and the others stay', async () => {
    const peers = new LivePeers();
    const ended: string[] = [];
    const add = (name: string, leaf: typeof web) =>
      peers.add({ leaf: leaf.certificate, issuer, revoke: () => void ended.push(name) });
    add('web 1', web);
    add('web 2', web);
    add('orders', orders);
    const forget = add('web 3', web);
    forget();

    peers.check(noRevocationLists);
    expect(ended).toEqual([]);
    const lists = new RevocationLists([await listOf([web.certificate.serial])]);
    peers.check(lists);
    peers.check(lists);
    expect(ended).toEqual(['web 1', 'web 2']);
    expect(peers.closed).toBe(2);
  });
});
