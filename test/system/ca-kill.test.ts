import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import { verifyAuditLog } from '../../ca/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { type CaAddress, connectNode, joinNode, type TestNode } from './ca-client.ts';
import { trustDomain } from './ca-fixture.ts';

let directory: string;
let admin: AdminClient;
let config: string;
let child: Child;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signet-kill-'));
  for (const name of ['logs', 'tmp', 'config']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'config', 'kek'), randomBytes(32).toString('hex'));
  const adminSocket = join(directory, 'admin.sock');
  config = writeConfig(directory, 'ca', {
    trustDomain,
    data: join(directory, 'ca'),
    listen: '127.0.0.1:0',
    adminSocket,
    keyEncryptionKey: { file: join(directory, 'config', 'kek') },
    lifetimes: { root: '1h', issuing: '20s', x509Svid: '5s', nodeSvid: '10s', backdate: '5s' },
  });
  admin = adminClient(adminSocket);
  await start();
});

afterEach(async () => {
  await child.stop('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

async function start(): Promise<void> {
  child = startChild({
    name: 'ca',
    directory,
    script: signetScript,
    args: ['ca', 'run', '--config', config],
  });
  await waitFor('the CA answering', 30_000, async () => {
    expect(child.ended()).toBeUndefined();
    return admin.status();
  });
}

async function address(): Promise<CaAddress> {
  const { agentAddress } = await admin.status();
  const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
  return {
    port: Number(agentAddress.split(':').at(-1)),
    roots: x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join(''),
  };
}

/** Serials of everything the node got before the connection broke. */
async function signUntilBroken(node: TestNode, entryId: string): Promise<string[]> {
  const serials: string[] = [];
  try {
    for (;;) {
      const { items } = await node.signMany(entryId, 8);
      for (const { outcome } of items) {
        if (outcome?.$case !== 'chain') continue;
        const [leaf = new Uint8Array()] = outcome.value.certificates;
        serials.push(parseCertificate(leaf).serial);
      }
    }
  } catch {
    // The kill, seen from here.
    return serials;
  }
}

test('killed in the midst of signing, again and again: what left is recorded, nothing is lost or repeated', async () => {
  const { token } = await admin.createToken({ ttlSeconds: 60 });
  let node = await joinNode(await address(), token);
  const { id: entryId } = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
  });
  const roots = (await address()).roots;
  const left: string[] = [];
  for (let kill = 0; kill < 3; kill += 1) {
    const signing = [signUntilBroken(node, entryId), signUntilBroken(node, entryId)];
    const before = (await admin.status()).issued;
    await waitFor('some certificates', 10_000, async () =>
      (await admin.status()).issued > before + 20 ? true : undefined,
    );
    await child.stop('SIGKILL');
    left.push(...(await Promise.all(signing)).flat());
    node.close();
    await start();
    node = connectNode(await address(), node.key, node.attested);
  }
  // The roots; the keys of tokens live as briefly as an issuing authority, and rotate where starts are slow.
  expect((await address()).roots).toBe(roots);
  expect((await admin.getEntry(entryId)).id).toBe(entryId);
  node.close();
  await child.stop('SIGTERM');
  expect(child.ended()).toBe('exit code 0');

  const verdict = await verifyAuditLog({ directory: join(directory, 'ca', 'audit') });
  expect(verdict).toMatchObject({ kind: 'ok' });
  await start();
  const recorded: string[] = [];
  for (let from = 0; ; ) {
    const { records } = await admin.audit({ from, limit: 1000 });
    if (records.length === 0) break;
    from += records.length;
    for (const { certificate } of records) {
      if (typeof certificate === 'object' && certificate !== null && 'serial' in certificate) {
        recorded.push(String(certificate.serial));
      }
    }
  }
  expect(left.length).toBeGreaterThan(60);
  const known = new Set(recorded);
  expect(left.filter((serial) => !known.has(serial))).toEqual([]);
  // No serial was given twice, to a leaf or to an authority, over all four lives.
  expect(known.size).toBe(recorded.length);
});
