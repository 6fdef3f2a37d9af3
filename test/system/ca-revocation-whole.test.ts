/** Revocation of all that a node holds, and of all that an authority has signed, under traffic through sidecars. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Mesh, type Sidecar, startMesh } from '../../cli/demo/mesh.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { systemClock } from '../../core/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { adminRequest } from '../fakes/admin-request.ts';
import { joinNode, type TestNode } from './ca-client.ts';
import { signed } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';

let directory = '';
let mesh: Mesh;
let web: Sidecar;
let adminSocket = '';

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signet-whole-'));
  mkdirSync(join(directory, 'mesh'));
  mesh = await startMesh(join(directory, 'mesh'), () => {});
  const [first] = mesh.sidecars;
  if (first === undefined) throw new Error('no sidecars');
  web = first;
  adminSocket = join(mesh.controlPlane.directory, 'ca-admin.sock');
});
afterEach(async () => {
  await mesh.controlPlane.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function ask(): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${web.outboundPort}/orders`);
  await response.text();
  return response.status;
}

async function serialOf(sidecar: Sidecar): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/certs`);
  const { identity }: { identity: { chain: { serial: string }[] } } = JSON.parse(
    await response.text(),
  );
  return identity.chain[0]?.serial ?? '';
}

async function traffic(): Promise<void> {
  await waitFor('traffic', 15_000, async () => ((await ask()) === 200 ? true : undefined));
}

type Revoked = { serial: string; spiffeId: string; node?: string; notAfter: string };

async function revoke(...args: string[]): Promise<readonly Revoked[]> {
  const { code, stdout, stderr } = await runSignet(['svid', 'revoke', ...args, '-o', 'json'], {
    SIGNET_ADMIN_SOCKET: adminSocket,
  });
  expect(code, stderr).toBe(0);
  const { revoked }: { revoked: Revoked[] } = JSON.parse(stdout);
  return revoked;
}

/** A node beside the demo's, with an entry of its own. */
async function anotherNode(): Promise<{ node: TestNode; entryId: string }> {
  const { admin } = mesh.controlPlane;
  const { agentAddress } = await admin.status();
  const { x509Authorities } = parseBundle(await admin.bundle(), parseTrustDomain('mesh.test'));
  const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  const { token } = await admin.createToken({ ttlSeconds: 60 });
  const node = await joinNode({ port: Number(agentAddress.split(':').at(-1)), roots }, token);
  const { id } = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/other',
    parentId: node.spiffeId,
    selectors: ['unix:uid:4711'],
  });
  await waitFor('its certificate', 5000, () => signed(node, id).catch(() => undefined));
  return { node, entryId: id };
}

async function counted(step: string): Promise<number> {
  const { text } = await adminRequest(adminSocket, { method: 'GET', path: '/metrics' });
  const name = `signet_ca_revocation_seconds_count{step="${step}"} `;
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.slice(name.length) ?? 0,
  );
}

test('by node: every other node is told of all that it held, it gets nothing new, and another one goes on', async () => {
  await traffic();
  const other = await anotherNode();
  const { admin, nodeId } = mesh.controlPlane;
  const revoked = await revoke('--node', nodeId);
  expect(new Set(revoked.map(({ node }) => node))).toEqual(new Set([nodeId]));
  const ids = revoked.map(({ spiffeId }) => spiffeId);
  expect(ids).toEqual(expect.arrayContaining([nodeId, web.spiffeId]));
  // What its agent drops, and hands to its sidecars as signed lists.
  const sync = other.node.sync();
  const serials = revoked.map(({ serial }) => serial);
  const { crls } = await sync.state(({ revokedSerials }) =>
    serials.every((serial) => revokedSerials.includes(serial)),
  );
  expect(crls.length).toBeGreaterThan(0);
  sync.cancel();
  await sync.ended;
  // Past the end of all it held it would have asked for more, many times.
  const endMs = Math.max(...revoked.map(({ notAfter }) => Date.parse(notAfter)));
  await waitFor('the end of what it held', 30_000, async () =>
    systemClock.wallMs() > endMs ? true : undefined,
  );
  const { records } = await admin.audit({ from: 0, limit: 1000 });
  const revocation = records.findIndex(({ type }) => type === 'svid.revoked');
  const later = records
    .slice(revocation)
    .filter(({ actor }) => JSON.stringify(actor).includes(nodeId));
  expect(later.map(({ type }) => type).filter((type) => type.endsWith('.issued'))).toEqual([]);
  expect((await admin.listNodes()).nodes.map(({ spiffeId }) => spiffeId)).toEqual([
    other.node.spiffeId,
  ]);
  await signed(other.node, other.entryId);
  other.node.close();
});

test('by serial, the push and its application are on the metrics page; by authority, all that it signed is replaced', async () => {
  await traffic();
  expect([await counted('pushed'), await counted('applied')]).toEqual([0, 0]);
  const { admin } = mesh.controlPlane;
  expect(await revoke('--serial', await serialOf(web))).toHaveLength(1);
  await waitFor('both steps measured', 5000, async () =>
    (await counted('pushed')) > 0 && (await counted('applied')) > 0 ? true : undefined,
  );
  await traffic();

  const before = await anotherNode();
  const { activeIssuingId } = await admin.status();
  const held = await serialOf(web);
  const revoked = await revoke('--issuer', activeIssuingId);
  const ids = revoked.map(({ spiffeId }) => spiffeId);
  expect(ids).toEqual(expect.arrayContaining([web.spiffeId, before.node.spiffeId]));
  await expect(signed(before.node, before.entryId)).rejects.toThrow();
  before.node.close();
  // The agent proves itself anew, and its workloads go on with certificates that nobody revoked.
  await waitFor('certificates of after it', 20_000, async () => {
    const serial = await serialOf(web);
    const { revocations } = await admin.listRevocations();
    return serial !== held && revocations.every((each) => each.serial !== serial)
      ? true
      : undefined;
  });
  await traffic();
  // The authority itself stands: whoever comes in anew is served.
  const after = await anotherNode();
  await signed(after.node, after.entryId);
  after.node.close();
});
