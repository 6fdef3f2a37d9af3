import { describe, expect, test } from 'vitest';
import { type Certificate, type Crl, issueCrl, parseCrl, type Signer } from '../../../pki/index.ts';
import { parsePeerPolicy } from '../../../policies/index.ts';
import { makeTestPki, type TestPki } from '../../../test/fakes/test-pki.ts';
import { noRevocationLists, RevocationLists } from './revoked-peers.ts';
import { createPeerMemory, verifyPeer } from './verify-peer.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const pki = await makeTestPki({ nowMs });
const web = await pki.issueLeaf({ id: '/web' });
const orders = await pki.issueLeaf({ id: '/orders' });
const issuer = pki.issuing.certificate;

/** A list in the name of our issuing authority, signed by that of `signedBy`. */
function listOf(serials: readonly string[], signedBy: TestPki = pki): Promise<Crl> {
  return listBy(issuer, signedBy.issuing.signer, serials);
}

async function listBy(
  { subject, extensions }: Certificate,
  signer: Signer,
  serials: readonly string[],
): Promise<Crl> {
  const values = {
    issuer: subject,
    issuerKeyId: extensions.subjectKeyId ?? new Uint8Array(),
    number: 1n,
    thisUpdateMs: nowMs,
    nextUpdateMs: nowMs + 1000,
    revoked: serials.map((serial) => ({
      serial,
      revokedAtMs: nowMs,
      reason: 'keyCompromise' as const,
    })),
  };
  return parseCrl(await issueCrl(values, signer));
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
    expect(lists.whyRevoked([leaf.certificate, other.issuing.certificate])).toBeUndefined();
  });

  test('is refused where the list of the issuer is not its own', async () => {
    const impostor = await makeTestPki({ nowMs });
    const lists = new RevocationLists([await listOf([], impostor)]);
    expect(verify(lists)).toMatchObject({ code: 'certificate_revoked' });
    expect(verify(new RevocationLists([await listOf([])])).kind).toBe('accepted');
  });

  test('is refused where the list of the root names the authority that issued it', async () => {
    const { certificate, signer } = pki.root;
    const own = await listOf([]);
    const lists = [own, await listBy(certificate, signer, [issuer.serial])];
    expect(verify(new RevocationLists(lists))).toMatchObject({
      code: 'certificate_revoked',
      detail: expect.stringContaining(`the authority above it ${issuer.serial} was revoked`),
    });
    const others = [own, await listBy(certificate, signer, ['0102'])];
    expect(verify(new RevocationLists(others)).kind).toBe('accepted');
  });

  test('is refused if any of several lists names it', async () => {
    const lists = [await listOf([]), await listOf([web.certificate.serial])];
    expect(verify(new RevocationLists(lists)).kind).toBe('refused');
  });
});
