import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { connectNode, joinNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';

let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

describe('a root', () => {
  test('is rotated in full, and waits for what has not seen it or still stands on it', async () => {
    const node = await mesh.join();
    const entryId = await mesh.webEntry(node);
    const old = await mesh.root('active');
    const before = await signed(node, entryId);
    const sync = node.sync();
    const began = await sync.state(({ entries }) => entries.length === 1);
    expect(began.activeRootKeyId).toBe(old.id);

    const next = await mesh.admin.prepareAuthority();
    const prepared = await sync.state(({ revision }) => revision > began.revision);
    expect(
      parseBundle(Buffer.from(prepared.bundle).toString(), trustDomain).x509Authorities,
    ).toHaveLength(2);
    await expect(mesh.admin.activateAuthority(next.id, false)).rejects.toMatchObject({
      kind: 'failed_precondition',
      code: 'authority_not_propagated',
      message: expect.stringContaining('0 of 1 nodes'),
    });

    const report = (acknowledged: number) => [
      { authorityKeyId: old.id, subscribers: 2, acknowledged: 2 },
      { authorityKeyId: next.id, subscribers: 2, acknowledged },
    ];
    sync.acknowledge(prepared.revision, report(1));
    await expect
      .poll(async () => (await mesh.root('prepared')).propagation)
      .toEqual({
        nodes: 1,
        nodesApplied: 1,
        subscribers: 2,
        acknowledged: 1,
        sidecarShare: 0.5,
      });
    await expect(mesh.admin.activateAuthority(next.id, false)).rejects.toMatchObject({
      message: expect.stringContaining('1 of 2 SDS subscribers'),
    });
    sync.acknowledge(prepared.revision, report(2));
    await expect
      .poll(async () => (await mesh.root('published').catch(() => undefined))?.id)
      .toBe(next.id);
    expect(await mesh.admin.activateAuthority(next.id, false)).toMatchObject({ state: 'active' });

    const activated = await sync.state(({ activeRootKeyId }) => activeRootKeyId === next.id);
    expect(activated.revision).toBeGreaterThan(prepared.revision);
    expect(await mesh.verified(before)).toMatchObject({ kind: 'valid' });
    expect(await mesh.verified(await signed(node, entryId))).toMatchObject({ kind: 'valid' });

    await expect(mesh.admin.retireAuthority(old.id, false)).rejects.toMatchObject({
      code: 'authority_in_use',
      message: expect.stringMatching(/ends at 20\d\d-.*, in \d+/),
    });
    // Its last certificates are the node's own and the CA's server's.
    expect(await mesh.admin.retireAuthority(old.id, true)).toMatchObject({ state: 'retired' });
    const retired = await sync.state(({ bundle }) => !bundle.equals(activated.bundle));
    expect(
      parseBundle(Buffer.from(retired.bundle).toString(), trustDomain).x509Authorities,
    ).toHaveLength(1);
    expect(await mesh.verified(before)).toMatchObject({ kind: 'refused' });

    // The node's certificate is under the root that is gone: its connection no longer speaks for it.
    await expect(node.sign(entryId)).rejects.toMatchObject({
      kind: 'unauthenticated',
      code: 'node_svid_refused',
    });
    const { records } = await mesh.admin.audit({ from: 0, limit: 1000 });
    const acts = records.filter(({ type }) =>
      /^authority\.(prepared|published|activated|retired)$/.test(type),
    );
    expect(acts.slice(-4)).toMatchObject([
      { type: 'authority.prepared' },
      { type: 'authority.published' },
      { type: 'authority.activated' },
      { type: 'authority.retired', forced: true },
    ]);
    node.close();
  });

  test('is not activated just after a restart, before anybody had the time to come back', async () => {
    const node = await mesh.join();
    const sync = node.sync();
    await sync.state(() => true);
    const next = await mesh.admin.prepareAuthority();
    await mesh.restart();
    await expect(mesh.admin.activateAuthority(next.id, false)).rejects.toMatchObject({
      message: expect.stringContaining('0 of 1 nodes'),
    });
    const again = connectNode(await mesh.address(), node.key, node.attested);
    const back = again.sync();
    const state = await back.state(() => true);
    back.acknowledge(state.revision);
    await expect
      .poll(() =>
        mesh.admin.activateAuthority(next.id, false).then(({ state: now }) => now, String),
      )
      .toBe('active');
    again.close();
    node.close();
  });

  test('the server presents itself under the new root at once', async () => {
    const next = await mesh.admin.prepareAuthority();
    await mesh.admin.activateAuthority(next.id, false);
    const { token, rootSha256 } = await mesh.admin.createToken({ ttlSeconds: 60 });
    const bundle = parseBundle(await mesh.admin.bundle(), trustDomain);
    const root = bundle.x509Authorities.find(
      ({ der }) => hash('sha256', der, 'hex') === rootSha256,
    );
    const onlyNew = {
      port: mesh.ca.agentPort,
      roots: pemEncode('CERTIFICATE', root?.der ?? new Uint8Array()),
    };
    await expect
      .poll(() => joinNode(onlyNew, token).then((node) => (node.close(), 'joined'), String))
      .toBe('joined');
  });
});
