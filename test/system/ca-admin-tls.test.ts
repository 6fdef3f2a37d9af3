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
import { makeTestPki } from '../fakes/test-pki.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';

let mesh: CaFixture;
let ca: RunningCa;
let node: TestNode;
beforeAll(async () => {
  mesh = await CaFixture.begin();
  await mesh.restart({
    admin: {
      listen: '127.0.0.1:0',
      roles: [
        { spiffeId: 'spiffe://mesh.test/ops', role: 'admin' },
        { spiffeId: 'spiffe://mesh.test/watch', role: 'viewer' },
        { spiffeId: 'spiffe://mesh.test/operate', role: 'operator' },
        { spiffeId: 'spiffe://mesh.test/team-a/deploy', role: 'operator', paths: ['/team-a'] },
      ],
    },
    metrics: '127.0.0.1:0',
    lifetimes: { root: '1h', issuing: '10m', x509Svid: '60s', nodeSvid: '120s', backdate: '5s' },
  });
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
  const { privateKey } = generateKeyPair('ec-p256');
  const { items } = await node.sign(id, await createCertificateRequest(keySigner(privateKey)));
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  await mesh.admin.deleteEntry(id);
  const chain = outcome.value.certificates.map((der) => pemEncode('CERTIFICATE', der)).join('');
  return clientWith({
    cert: chain,
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
  });
}

async function clientWith(own: { cert?: string; key?: string }): Promise<AdminClient> {
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
    await expect(operator.audit({ from: 0 })).rejects.toMatchObject({ code: 'admin_scope' });
    await operator.deleteEntry(mine.id);
    await mesh.admin.deleteEntry(other.id);
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
