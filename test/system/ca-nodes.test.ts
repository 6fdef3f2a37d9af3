import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sleep, systemClock, systemErrorCode } from '../../core/index.ts';
import { generateKeyPair, parseCertificate } from '../../pki/index.ts';
import { attest, connectNode, csrOf, joinNode } from './ca-client.ts';
import { CaFixture, signed } from './ca-fixture.ts';

let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

describe('a node', () => {
  test('joins, learns of an entry, and gets a certificate for the workload', async () => {
    const token = await mesh.admin.createToken({ ttlSeconds: 60 });
    const node = await joinNode(await mesh.address(), token.token);
    expect(node.spiffeId).toBe(token.spiffeId);

    const sync = node.sync();
    const first = await sync.state(() => true);
    expect(first.entries).toEqual([]);
    const entryId = await mesh.webEntry(node);
    const state = await sync.state(({ entries }) => entries.length === 1);
    expect(state.revision).toBeGreaterThan(first.revision);
    expect(state.entries[0]).toMatchObject({ id: entryId, x509SvidTtlMs: 4000n });
    expect(Buffer.from(state.bundle).toString()).toBe(await mesh.admin.bundle());

    expect(await mesh.verified(await signed(node, entryId))).toMatchObject({
      kind: 'valid',
      id: 'spiffe://mesh.test/web',
    });
    expect(await mesh.admin.status()).toMatchObject({ entries: 1, nodes: 1, nodesConnected: 1 });
    await mesh.admin.deleteEntry(entryId);
    await sync.state(({ entries, revision }) => entries.length === 0 && revision > state.revision);
    expect((await node.sign(entryId)).items[0]?.outcome).toMatchObject({
      $case: 'refusal',
      value: { kind: 'permission_denied', code: 'entry_not_authorized' },
    });
    node.close();
  });

  test('may not serve the entries of another', async () => {
    const [mine, other] = [await mesh.join(), await mesh.join()];
    const entryId = await mesh.webEntry(mine);
    expect((await other.sign(entryId)).items[0]?.outcome).toMatchObject({
      value: { code: 'entry_not_authorized' },
    });
    expect(await signed(mine, entryId)).toHaveLength(2);
    mine.close();
    other.close();
  });

  test('renews its own certificate, and is asked to come back with it', async () => {
    const node = await mesh.join();
    const chain = await node.renew();
    expect(await mesh.verified(chain)).toMatchObject({ kind: 'valid', id: node.spiffeId });
    const { nodes } = await mesh.admin.listNodes();
    expect(nodes[0]?.svidSerial).toBe(parseCertificate(chain[0] ?? new Uint8Array()).serial);
    node.close();
  });

  test('gets a hundred certificates at once, each with a serial of its own and a record', async () => {
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const before = (await mesh.admin.status()).audit.size;
    const answers = await Promise.all(Array.from({ length: 4 }, () => node.signMany(entryId, 25)));
    const serials = answers
      .flatMap(({ items }) => items)
      .map(({ outcome }) =>
        outcome?.$case === 'chain' ? outcome.value.certificates[0] : undefined,
      )
      .map((der) => parseCertificate(der ?? new Uint8Array()).serial);
    expect(new Set(serials).size).toBe(100);
    const { records } = await mesh.admin.audit({ from: before, limit: 1000 });
    expect(records.filter(({ type }) => type === 'svid.issued')).toHaveLength(100);
    node.close();
  });

  test('one bad request among good ones harms no other', async () => {
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const csr = await csrOf(generateKeyPair('ec-p256').privateKey);
    const bad = new Uint8Array(csr).with(csr.length - 1, (csr.at(-1) ?? 0) ^ 1);
    const refused = await node.sign(entryId, bad);
    expect(refused.items[0]?.outcome).toMatchObject({
      $case: 'refusal',
      value: { kind: 'invalid_argument', code: 'csr_signature' },
    });
    expect(await signed(node, entryId)).toHaveLength(2);
    node.close();
  });

  test('without a certificate may only attest', async () => {
    const node = await mesh.join();
    const stranger = connectNode(await mesh.address(), node.key, { ...node.attested, chain: [] });
    await expect(stranger.sign('x')).rejects.toMatchObject({
      kind: 'unauthenticated',
      code: 'node_svid_required',
    });
    stranger.close();
    node.close();
  });

  test('a workload is no node', async () => {
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const key = generateKeyPair('ec-p256').privateKey;
    const { items } = await node.sign(entryId, await csrOf(key));
    const outcome = items[0]?.outcome;
    if (outcome?.$case !== 'chain') throw new Error('refused');
    const chain = outcome.value.certificates;
    const workload = connectNode(await mesh.address(), key, { ...node.attested, chain });
    await expect(workload.sign(entryId)).rejects.toMatchObject({
      kind: 'permission_denied',
      code: 'node_unknown',
    });
    workload.close();
    node.close();
  });
});

describe('a join token', () => {
  const newKey = (): ReturnType<typeof generateKeyPair>['privateKey'] =>
    generateKeyPair('ec-p256').privateKey;

  test('may be used again with the same key, because an answer can be lost', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
    const csr = await csrOf(newKey());
    const first = await attest(await mesh.address(), token, csr);
    const again = await attest(await mesh.address(), token, csr);
    expect(again.spiffeId).toBe(first.spiffeId);
    expect((await mesh.admin.listNodes()).nodes).toHaveLength(1);
  });

  test('is refused with another key', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
    await attest(await mesh.address(), token, await csrOf(newKey()));
    await expect(attest(await mesh.address(), token, await csrOf(newKey()))).rejects.toMatchObject({
      kind: 'unauthenticated',
      code: 'token_used',
    });
    const { records } = await mesh.admin.audit({ from: -2 });
    expect(records.at(-1)).toMatchObject({ type: 'node.attest_denied' });
  });

  test('is refused once it has expired', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 1 });
    await sleep(systemClock, 1100);
    await expect(attest(await mesh.address(), token, await csrOf(newKey()))).rejects.toMatchObject({
      code: 'token_expired',
    });
  });

  test('that nobody made is refused, and leaves no record', async () => {
    const before = (await mesh.admin.status()).audit.size;
    for (const token of ['', 'x', `${'0'.repeat(16)}.${'A'.repeat(43)}`]) {
      await expect(
        attest(await mesh.address(), token, await csrOf(newKey())),
      ).rejects.toMatchObject({
        kind: 'unauthenticated',
        code: 'token_unknown',
      });
    }
    expect((await mesh.admin.status()).audit.size).toBe(before);
  });

  test('is not spent by a request that is not signed', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
    const csr = await csrOf(newKey());
    const bad = Buffer.from(csr);
    bad.writeUInt8((bad.at(-1) ?? 0) ^ 1, bad.length - 1);
    await expect(attest(await mesh.address(), token, bad)).rejects.toMatchObject({
      kind: 'invalid_argument',
      code: 'csr_signature',
    });
    await expect(attest(await mesh.address(), token, csr)).resolves.toBeDefined();
  });

  test('is nowhere on the disk', async () => {
    const { token } = await mesh.admin.createToken({ ttlSeconds: 60 });
    await mesh.join().then((node) => node.close());
    const secret = token.split('.')[1] ?? token;
    const files = await readdir(mesh.directory, { recursive: true, withFileTypes: true });
    for (const file of files.filter((each) => each.isFile())) {
      // The running CA replaces files; one that is gone by now holds nothing.
      const content = await readFile(join(file.parentPath, file.name)).catch(ifGone);
      expect(content?.includes(secret) ?? false, file.name).toBe(false);
    }
  });
});

function ifGone(error: unknown): undefined {
  if (systemErrorCode(error) !== 'ENOENT') throw error;
}
