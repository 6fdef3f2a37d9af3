import { createSecureContext } from 'node:tls';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import type { RunningCa } from '../../ca/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  parseCertificate,
  pemEncode,
} from '../../pki/index.ts';
import { checkLeaf } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';

const config = {
  admin: {
    listen: '127.0.0.1:0',
    roles: [
      { spiffeId: 'spiffe://mesh.test/ops', role: 'admin' },
      { spiffeId: 'spiffe://mesh.test/watch', role: 'viewer' },
      { spiffeId: 'spiffe://mesh.test/operate', role: 'operator' },
      {
        spiffeId: 'spiffe://mesh.test/team-a/deploy',
        role: 'operator',
        paths: ['/team-a'],
        parents: ['/team-a', '/signet/node'],
      },
      { spiffeId: 'spiffe://mesh.test/team-b/deploy', role: 'operator', paths: ['/team-b'] },
    ],
  },
  metrics: '127.0.0.1:0',
  lifetimes: { root: '1h', issuing: '10m', x509Svid: '60s', nodeSvid: '120s', backdate: '5s' },
};

let mesh: CaFixture;
let ca: RunningCa;
let node: TestNode;
beforeAll(async () => {
  mesh = await CaFixture.begin();
  await mesh.restart(config);
  ca = mesh.ca;
  node = await mesh.join();
});
afterAll(async () => {
  node.close();
  await mesh.end();
});

/** A client with an SVID of that path, as an agent would hand it out. */
async function clientOf(path: string): Promise<AdminClient> {
  const { id } = await mesh.admin.createEntry({
    spiffeId: `spiffe://mesh.test${path}`,
    parentId: node.spiffeId,
    selectors: ['unix:uid:7'],
  });
  const client = await clientWith(await svidBy(id));
  await mesh.admin.deleteEntry(id);
  return client;
}

/** An SVID that the node gets by that entry, or by that rule for a workload with these selectors. */
async function svidBy(entryId: string, selectors: readonly string[] = []): Promise<Own> {
  const { privateKey } = generateKeyPair('ec-p256');
  const csr = await createCertificateRequest(keySigner(privateKey));
  const { items } = await node.sign(entryId, csr, selectors);
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  const chain = outcome.value.certificates.map((der) => pemEncode('CERTIFICATE', der)).join('');
  return { cert: chain, key: privateKey.export({ format: 'pem', type: 'pkcs8' }) };
}

interface Own {
  readonly cert?: string;
  readonly key?: string;
}

async function clientWith(own: Own): Promise<AdminClient> {
  const { roots } = await mesh.address();
  const context = createSecureContext({ ca: roots, minVersion: 'TLSv1.3', ...own });
  return adminClient({
    kind: 'tls',
    host: '127.0.0.1',
    port: ca.adminPort ?? 0,
    identity: async () => ({
      context,
      checkServer(leaf) {
        const verdict = checkLeaf(parseCertificate(leaf));
        return verdict.kind === 'ok' && verdict.id === 'spiffe://mesh.test/signet/ca'
          ? undefined
          : 'it is not the CA';
      },
    }),
  });
}

const webEntry = (path: string) => ({
  spiffeId: `spiffe://mesh.test${path}`,
  parentId: node.spiffeId,
  selectors: ['unix:uid:1000'],
});

describe('over mutual TLS', () => {
  test('an admin may do everything, and is named in the record by SPIFFE ID', async () => {
    const admin = await clientOf('/ops');
    const entry = await admin.createEntry(webEntry('/by-ops'));
    await admin.deleteEntry(entry.id);
    const { records } = await admin.audit({ from: -1 });
    expect(records).toMatchObject([
      {
        type: 'admin.call',
        method: 'DELETE',
        actor: { kind: 'admin', id: 'spiffe://mesh.test/ops' },
        requestId: expect.stringMatching(/^[0-9a-f]{24}$/),
      },
    ]);
  });

  test('a viewer reads and changes nothing', async () => {
    const viewer = await clientOf('/watch');
    expect((await viewer.status()).trustDomain).toBe('mesh.test');
    await expect(viewer.createEntry(webEntry('/w'))).rejects.toMatchObject({
      kind: 'permission_denied',
      code: 'admin_role',
    });
    await expect(viewer.prepareAuthority()).rejects.toMatchObject({ code: 'admin_role' });
  });

  test('an operator of one path works there and sees nothing else', async () => {
    const operator = await clientOf('/team-a/deploy');
    const mine = await operator.createEntry(webEntry('/team-a/web'));
    const other = await mesh.admin.createEntry(webEntry('/team-ab/web'));
    await expect(operator.createEntry(webEntry('/team-ab/x'))).rejects.toMatchObject({
      code: 'admin_scope',
    });
    await expect(operator.deleteEntry(other.id)).rejects.toMatchObject({ code: 'admin_scope' });
    expect((await operator.listEntries({})).entries.map(({ id }) => id)).toEqual([mine.id]);
    await expect(operator.createToken({})).rejects.toMatchObject({ code: 'admin_scope' });
    const token = await operator.createToken({ alias: 'spiffe://mesh.test/team-a/nodes' });
    expect(token.token).not.toBe('');
    // Of tokens too it sees its own: not the node's that is here, nor another team's.
    const theirs = await mesh.admin.createToken({ alias: 'spiffe://mesh.test/team-b/nodes' });
    expect((await operator.listTokens()).tokens.map(({ id }) => id)).not.toContain(theirs.id);
    await expect(operator.deleteToken(theirs.id)).rejects.toMatchObject({ code: 'admin_scope' });
    expect(await operator.deleteToken(token.id)).toMatchObject({ id: token.id, state: 'unused' });
    await expect(operator.audit({ from: 0 })).rejects.toMatchObject({ code: 'admin_scope' });
    await operator.deleteEntry(mine.id);
    await mesh.admin.deleteEntry(other.id);
  });

  test('an operator of one path gives identities only on the nodes that the config leaves it', async () => {
    const operator = await clientOf('/team-b/deploy');
    const onAlias = { ...webEntry('/team-b/web'), parentId: 'spiffe://mesh.test/team-b/nodes' };
    const mine = await operator.createEntry(onAlias);
    const refused = { kind: 'permission_denied', code: 'admin_scope' };
    for (const parentId of [
      node.spiffeId,
      'spiffe://mesh.test/team-a/nodes',
      // An entry under the CA names nodes: with it anybody's node would become this team's.
      'spiffe://mesh.test/signet/ca',
    ]) {
      const elsewhere = { ...onAlias, parentId };
      await expect(operator.createEntry(elsewhere)).rejects.toMatchObject(refused);
      await expect(operator.updateEntry(mine.id, elsewhere)).rejects.toMatchObject(refused);
      await expect(operator.importEntries({ entries: [elsewhere] })).rejects.toMatchObject(refused);
    }
    expect(await operator.importEntries({ entries: [onAlias] })).toMatchObject({ unchanged: 1 });
    await operator.deleteEntry(mine.id);
  });

  test('an operator cannot give itself a role by registering an identity that has one', async () => {
    const operator = await clientOf('/operate');
    const entry = await operator.createEntry(webEntry('/plain'));
    await expect(operator.createEntry(webEntry('/ops'))).rejects.toMatchObject({
      kind: 'permission_denied',
      code: 'admin_escalation',
    });
    await expect(operator.updateEntry(entry.id, { ...webEntry('/ops') })).rejects.toMatchObject({
      code: 'admin_escalation',
    });
    await operator.deleteEntry(entry.id);
  });

  test('an operator cannot come to a role by a node’s name, nor prune one away', async () => {
    const operator = await clientOf('/operate');
    const name = (path: string) => `spiffe://mesh.test/pools/${path}`;
    const held = await mesh.admin.createEntry({ ...webEntry('/ops'), parentId: name('ops') });
    const plain = await mesh.admin.createEntry({ ...webEntry('/plain'), parentId: name('web') });
    const aliasEntry = (path: string) => ({
      spiffeId: name(path),
      parentId: 'spiffe://mesh.test/signet/ca',
      selectors: ['x509pop:subject:cn:mine'],
    });
    const refused = { kind: 'permission_denied', code: 'admin_escalation' };
    const alias = aliasEntry('ops');
    await expect(operator.createToken({ alias: name('ops') })).rejects.toMatchObject(refused);
    await expect(operator.createEntry(alias)).rejects.toMatchObject(refused);
    await expect(operator.importEntries({ entries: [alias] })).rejects.toMatchObject(refused);
    const prune = { entries: [], prune: true, dryRun: true };
    await expect(operator.importEntries(prune)).rejects.toMatchObject(refused);

    await operator.createToken({ alias: name('web') });
    const mine = await operator.createEntry(aliasEntry('web'));
    await expect(operator.updateEntry(mine.id, alias)).rejects.toMatchObject(refused);
    const admin = await clientOf('/ops');
    await admin.createToken({ alias: name('ops') });
    await admin.updateEntry(mine.id, alias);
    expect(await admin.importEntries(prune)).toMatchObject({ outcome: 'planned' });
    await mesh.admin.deleteEntry(held.id);
    expect(await operator.importEntries(prune)).toMatchObject({ outcome: 'planned' });
    for (const { id } of [plain, mine]) await mesh.admin.deleteEntry(id);
  });

  test('the admin flag of an entry is a role, as long as it stands', async () => {
    const flagged = { ...webEntry('/boss'), admin: true };
    const { id } = await mesh.admin.createEntry(flagged);
    const svid = await svidBy(id);
    const boss = await clientWith(svid);
    const made = await boss.createEntry({ ...webEntry('/by-boss'), admin: true });
    await boss.deleteEntry(made.id);
    await mesh.admin.updateEntry(id, webEntry('/boss'));
    const refused = { kind: 'permission_denied', code: 'admin_role' };
    await eventually(() => expect(boss.status()).rejects.toMatchObject(refused));
    await mesh.admin.updateEntry(id, flagged);
    await eventually(() => expect(boss.status()).resolves.toBeDefined());
    await mesh.restart(config);
    ca = mesh.ca;
    node.close();
    node = await mesh.join();
    // Which entry a certificate is of, a restart finds in the audit log.
    const again = await clientWith(svid);
    expect(await again.status()).toBeDefined();
    await mesh.admin.deleteEntry(id);
    await eventually(() => expect(again.status()).rejects.toMatchObject(refused));
  });

  test('the flag goes with its entry: the same ID by another entry, or by an agent’s word, has no role', async () => {
    const spiffeId = `spiffe://mesh.test/user/root`;
    const flagged = await mesh.admin.createEntry({ ...webEntry('/user/root'), admin: true });
    const plain = await mesh.admin.createEntry({ ...webEntry('/user/root'), selectors: ['a:b'] });
    const rule = await mesh.admin.createRule({
      template: 'spiffe://{td}/user/{unix.user}',
      selectors: ['unix:uid:0'],
      trust: { unix: 'agent' },
    });
    const selectors = ['unix:uid:0', 'unix:user:root'];
    const derived = `rule:${rule.id}:${node.spiffeId.split('/node/')[1]}`;
    const refused = { kind: 'permission_denied', code: 'admin_role' };
    const byPlain = await clientWith(await svidBy(plain.id));
    await expect(byPlain.status()).rejects.toMatchObject(refused);
    const byWord = await clientWith(await svidBy(derived, selectors));
    await expect(byWord.status()).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining(spiffeId),
    });
    expect(await (await clientWith(await svidBy(flagged.id))).status()).toBeDefined();
    await mesh.admin.deleteRule(rule.id);
    for (const { id } of [flagged, plain]) await mesh.admin.deleteEntry(id);
  });

  test('the flag is an admin’s to give and to take', async () => {
    const operator = await clientOf('/operate');
    const refused = { kind: 'permission_denied', code: 'admin_escalation' };
    const flagged = { ...webEntry('/flagged'), admin: true };
    const mine = await operator.createEntry(webEntry('/flagged'));
    await expect(operator.updateEntry(mine.id, flagged)).rejects.toMatchObject(refused);
    const another = { ...flagged, spiffeId: 'spiffe://mesh.test/other' };
    await expect(operator.createEntry(another)).rejects.toMatchObject(refused);
    await expect(operator.importEntries({ entries: [another] })).rejects.toMatchObject(refused);
    await mesh.admin.updateEntry(mine.id, flagged);
    // Now the ID has a role: nobody but an admin says on which nodes it is, or that it is no more.
    await eventually(async () => {
      await expect(operator.updateEntry(mine.id, webEntry('/flagged'))).rejects.toMatchObject(
        refused,
      );
    });
    await expect(operator.deleteEntry(mine.id)).rejects.toMatchObject(refused);
    const elsewhere = { ...webEntry('/flagged'), selectors: ['unix:uid:8'] };
    await expect(operator.createEntry(elsewhere)).rejects.toMatchObject(refused);
    await mesh.admin.updateEntry(mine.id, webEntry('/flagged'));
    await eventually(async () => void (await operator.deleteEntry(mine.id)));
  });

  test('an identity without a role may do nothing, and its tries are not in the record', async () => {
    const stranger = await clientOf('/stranger');
    const { size } = await mesh.admin.audit({ from: 0, limit: 1 });
    await expect(stranger.status()).rejects.toMatchObject({ code: 'admin_role' });
    await expect(stranger.createToken({})).rejects.toMatchObject({ code: 'admin_role' });
    expect((await mesh.admin.audit({ from: 0, limit: 1 })).size).toBe(size);
  });

  test('an identity that is revoked is an administrator no more', async () => {
    const admin = await clientOf('/ops');
    await admin.status();
    await mesh.admin.revoke({ spiffeId: 'spiffe://mesh.test/ops' });
    await expect(admin.status()).rejects.toMatchObject({ code: 'admin_unreachable' });
  });

  test('nobody connects without a certificate of this trust domain', async () => {
    const nobody = await clientWith({});
    await expect(nobody.status()).rejects.toMatchObject({ code: 'admin_unreachable' });
    // The right name, under a root of the same name that is not ours.
    const other = await makeTestPki({ nowMs: Date.now() });
    const { chainPem, keyPem } = await other.issueLeaf({ id: 'spiffe://mesh.test/ops' });
    const forged = await clientWith({ cert: chainPem, key: keyPem });
    await expect(forged.status()).rejects.toMatchObject({ code: 'admin_unreachable' });
  });
});

describe('the metrics listener', () => {
  const get = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ca.metricsPort}${path}`);

  test('says that it lives and is ready, and has nothing else', async () => {
    expect((await get('/livez')).status).toBe(200);
    const ready = await get('/readyz');
    expect({ status: ready.status, body: await ready.json() }).toEqual({
      status: 200,
      body: { status: 'ok', reasons: [] },
    });
    expect((await get('/v1/status')).status).toBe(404);
  });

  test('serves exactly the metrics that docs/ca/metrics.md explains', async () => {
    const text = await (await get('/metrics')).text();
    const served = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
      .map(([, name = '', type = '']) => `${name} ${type}`)
      .filter((name) => !/^(?:process|nodejs)_/.test(name));
    const page = await readFile(join(import.meta.dirname, '../../docs/ca/metrics.md'), 'utf8');
    const explained = [...page.matchAll(/^\| `(signet_\w+)` \| (\w+) \|/gm)].map(
      ([, name = '', type = '']) => `${name} ${type}`,
    );
    expect(served.toSorted()).toEqual(explained.toSorted());
  });

  test('counts what happened', async () => {
    const text = await (await get('/metrics')).text();
    expect(text).toMatch(/^signet_ca_issuance_total\{outcome="issued"\} [1-9]/m);
    expect(text).toMatch(/^signet_ca_issuance_step_seconds_count\{step="sign"\} [1-9]/m);
    expect(text).toMatch(/^signet_ca_audit_records [1-9]/m);
    expect(text).toMatch(
      /^signet_ca_authority_expiry_timestamp_seconds\{tier="root",state="active",authority="[0-9a-f]+"\} \d/m,
    );
  });
});
