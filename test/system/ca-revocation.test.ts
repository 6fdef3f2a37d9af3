/** Revocation as the CA keeps it: over a restart, for tokens, for whole chains and for nodes, judged by OpenSSL. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/wait.ts';
import { parseCertificate, parseCrl, pemEncode } from '../../pki/index.ts';
import { CaFixture, signed } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const program = 'openssl';

type Chain = readonly ReturnType<typeof parseCertificate>[];

describe('the CA', () => {
  let fixture: CaFixture;
  beforeAll(async () => {
    fixture = await CaFixture.begin();
  });
  afterAll(() => fixture.end());

  test('remembers over a restart, list and all, and takes up what still lives from its log', async () => {
    const node = await fixture.join();
    const entryId = await fixture.webEntry(node);
    const serials: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      const [leaf] = await signedSoon(node, entryId);
      serials.push(parseCertificate(new Uint8Array(leaf ?? [])).serial);
    }
    const [first = '', second = ''] = serials;
    const { revoked } = await fixture.admin.revoke({ serial: first, reason: 'superseded' });
    expect(revoked.map(({ serial }) => serial)).toEqual([first]);
    const before = await fixture.admin.listRevocations();
    // Of the issuing authority, and of its root.
    expect(before.crls).toHaveLength(2);

    await fixture.restart();
    const after = await fixture.admin.listRevocations();
    // Byte for byte: a restart pushes nothing new to anybody.
    expect(after.crls).toEqual(before.crls);
    expect(after.revocations.map(({ serial }) => serial)).toContain(first);

    // Issued before the restart, found again in the audit log.
    await fixture.admin.revoke({ serial: second });
    const { crls } = await fixture.admin.listRevocations();
    const der = Buffer.from((crls[0] ?? '').replaceAll(/-----[^-]+-----|\n/g, ''), 'base64');
    const list = parseCrl(der);
    expect([...list.revoked.keys()].toSorted()).toEqual([first, second].toSorted());
    expect(list.number).toBe(2n);

    // Page by page, the newest first; whatever is no list of revocations is on the first page.
    const page = await fixture.admin.listRevocations({ limit: 1 });
    expect(page).toMatchObject({ revocations: [{ serial: second }], next: expect.any(String) });
    const rest = await fixture.admin.listRevocations({ limit: 1, after: page.next ?? '' });
    expect(rest).toMatchObject({ revocations: [{ serial: first }], blocks: [], crls: [] });
    expect(rest.next).toBeUndefined();
    const wrong = fixture.admin.listRevocations({ after: 'x' });
    await expect(wrong).rejects.toMatchObject({ code: 'request_invalid' });
    const shown = await runSignet(['svid', 'revocations', '--socket', fixture.ca.adminSocket]);
    for (const serial of [first, second]) expect(shown.stdout).toContain(serial);

    await expect(fixture.admin.revoke({ serial: 'deadbeef' })).rejects.toMatchObject({
      code: 'revocation_nothing',
    });
    await expect(fixture.admin.revoke({})).rejects.toMatchObject({ code: 'request_invalid' });
  });

  test('a block stops tokens too, for nodes and operators alike, and for no other identity', async () => {
    const node = await fixture.join();
    const entryId = await fixture.webEntry(node);
    const other = await fixture.admin.createEntry({
      spiffeId: 'spiffe://mesh.test/orders',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1001'],
    });
    await signedSoon(node, entryId);
    await signedSoon(node, other.id);
    const mint = async (id: string): Promise<string | undefined> => {
      const item = { entryId: id, audience: ['a'], ttlMs: 0n, selectors: [] };
      const [answer] = (await node.mint([item])).items;
      const { outcome } = answer ?? {};
      return outcome?.$case === 'refusal' ? outcome.value.code : outcome?.$case;
    };
    const asOperator = (id: string) => fixture.admin.mintJwt({ entryId: id, audience: ['a'] });
    expect(await mint(entryId)).toBe('minted');

    await fixture.admin.revoke({ spiffeId: 'spiffe://mesh.test/web', block: true });
    expect(await mint(entryId)).toBe('id_blocked');
    await expect(asOperator(entryId)).rejects.toMatchObject({ code: 'id_blocked' });
    expect(await mint(other.id)).toBe('minted');
    expect((await asOperator(other.id)).spiffeId).toBe('spiffe://mesh.test/orders');

    await fixture.admin.unblock('spiffe://mesh.test/web');
    expect(await mint(entryId)).toBe('minted');
    node.close();
  });

  test.skipIf(lacks(program))(
    'OpenSSL looks up whole chains: a leaf by its authority, an authority by its root',
    async () => {
      const node = await fixture.join();
      const entryId = await fixture.webEntry(node);
      const chainOfLeaf = async (from: typeof node, id: string): Promise<Chain> =>
        (await signedSoon(from, id)).map((der) => parseCertificate(new Uint8Array(der)));
      const [bad, good] = [await chainOfLeaf(node, entryId), await chainOfLeaf(node, entryId)];
      await fixture.admin.revoke({ serial: bad[0]?.serial ?? '' });
      expect(await judgeWhole(bad)).toContain('error 23 at 0 depth lookup: certificate revoked');
      expect(await judgeWhole(good)).toMatch(/: OK$/m);

      const issuer = good[1];
      const keyId = Buffer.from(issuer?.extensions.subjectKeyId ?? []).toString('hex');
      await fixture.admin.taintAuthority(keyId);
      await fixture.admin.revokeAuthority(keyId, true);
      const named = await waitFor('the list of the root naming it', 5000, async () => {
        const lists = await listsOf(fixture);
        return lists.find(({ revoked }) => revoked.has(issuer?.serial ?? ''));
      });
      expect(named.revoked.get(issuer?.serial ?? '')).toMatchObject({ reason: 'cACompromise' });
      expect(await judgeWhole(good.slice(1))).toContain(
        'error 23 at 0 depth lookup: certificate revoked',
      );
      expect(await judgeWhole(good)).not.toMatch(/: OK$/m);
      // The node's own certificate stands under it too: it is nobody now, and one that joins anew is not.
      await expect(node.sign(entryId)).rejects.toThrow('revoked');
      const next = await fixture.join();
      expect(await judgeWhole(await chainOfLeaf(next, await fixture.webEntry(next)))).toMatch(
        /: OK$/m,
      );
      node.close();
      next.close();
    },
  );

  /** What `openssl verify -crl_check_all` says of the first of the chain, with the lists of this moment. */
  async function judgeWhole(chain: Chain): Promise<string> {
    const directory = mkdtempSync(join(tmpdir(), 'signet-openssl-'));
    const write = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const pem = (each: { der: Uint8Array }): string => pemEncode('CERTIFICATE', each.der);
    try {
      const { crls } = await fixture.admin.listRevocations();
      const { x509Authorities } = await fixture.bundle();
      const roots = write('roots.pem', x509Authorities.map(pem).join(''));
      const lists = write('lists.pem', crls.join(''));
      const first = write('first.pem', chain.slice(0, 1).map(pem).join(''));
      const rest = chain.slice(1).map(pem).join('');
      const untrusted = rest === '' ? [] : ['-untrusted', write('rest.pem', rest)];
      const args = ['verify', '-crl_check_all', '-CAfile', roots, ...untrusted];
      const { stdout, stderr } = spawnSync(program, [...args, '-CRLfile', lists, first], {
        encoding: 'utf8',
      });
      return stdout + stderr;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test('a revoked node is nobody: its calls are refused and it cannot renew', async () => {
    const node = await fixture.join();
    const entryId = await fixture.webEntry(node);
    await signedSoon(node, entryId);
    const { revoked } = await fixture.admin.revoke({ node: node.spiffeId, block: true });
    expect(revoked.length).toBeGreaterThanOrEqual(2);
    await expect(node.sign(entryId)).rejects.toThrow();
    expect((await fixture.admin.listNodes()).nodes.map(({ spiffeId }) => spiffeId)).not.toContain(
      node.spiffeId,
    );
  });

  test('what a banned node held is revoked, and it stays banned; another one goes on', async () => {
    const [node, other] = [await fixture.join(), await fixture.join()];
    const entryId = await fixture.webEntry(node);
    await signedSoon(node, entryId);
    const { spiffeId } = node;
    await fixture.admin.banNode(spiffeId, { reason: 'stolen' });
    const { revoked } = await fixture.admin.revoke({ node: spiffeId });
    expect(revoked.map((one) => one.spiffeId)).toContain(spiffeId);
    expect(new Set(revoked.map((one) => one.node))).toEqual(new Set([spiffeId]));
    expect(revoked.length).toBeGreaterThanOrEqual(2);
    const { nodes } = await fixture.admin.listNodes();
    expect(nodes.find((one) => one.spiffeId === spiffeId)?.banned?.reason).toBe('stolen');
    await expect(node.sign(entryId)).rejects.toThrow();
    await signedSoon(other, await fixture.webEntry(other));
  });

  /** The view of the registry follows the store: a new entry may need a moment. */
  async function signedSoon(
    node: Awaited<ReturnType<CaFixture['join']>>,
    entryId: string,
  ): Promise<readonly Uint8Array[]> {
    return waitFor('a certificate', 5000, () => signed(node, entryId));
  }
});

async function listsOf({ admin }: CaFixture): Promise<readonly ReturnType<typeof parseCrl>[]> {
  const { crls } = await admin.listRevocations();
  return crls.map((text) =>
    parseCrl(Buffer.from(text.replaceAll(/-----[^-]+-----|\n/g, ''), 'base64')),
  );
}
