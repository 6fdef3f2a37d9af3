/** An unmodified Envoy with two trust domains: each peer is judged by the bundle of its own. */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import { sourceRoot } from '../../cli/demo/child.ts';
import {
  type ControlPlane,
  failIfEnded,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { answerOf } from '../../cli/demo/talk.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { formatBundle } from '../../spiffe/index.ts';
import { eventually } from '../fakes/eventually.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { makeTestPki } from '../fakes/test-pki.ts';
import { envoyFederationBootstrap } from './envoy-bootstrap.ts';
import { findEnvoy, testWith } from './peers.ts';

const envoyId = 'spiffe://mesh.test/envoy';

describe('Envoy and a partner', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-partner-'));
  let controlPlane: ControlPlane;

  beforeAll(async () => {
    if (findEnvoy() !== undefined) controlPlane = await startControlPlane(directory, () => {});
  });
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(directory, { recursive: true });
  });

  testWith(
    findEnvoy(),
    'Envoy',
    'lets the partner in by its own bundle, nobody of one domain by the bundle of the other, and nobody of it once that is deleted',
    async (envoy) => {
      const { admin, agentSocket, nodeId } = controlPlane;
      await admin.createEntry({
        spiffeId: envoyId,
        parentId: nodeId,
        selectors: [`unix:path:${envoy}`],
        federatesWith: ['partner.test'],
      });
      const partner = await makeTestPki({ trustDomain: 'partner.test', nowMs: Date.now() });
      const shop = await partner.issueLeaf({ id: '/shop' });
      // The partner's authority names a workload of ours: its bundle has no say in that.
      const forged = await partner.issueLeaf({ id: envoyId });
      const stranger = await makeTestPki({ trustDomain: 'partner.test', nowMs: Date.now() + 1 });
      const impostor = await stranger.issueLeaf({ id: '/shop' });
      const own = await ownIdentity(controlPlane);

      const setBundle = () =>
        admin.setFederatedBundle('partner.test', formatBundle(partner.bundle));
      await setBundle();
      const [adminPort = 0, everybody = 0, partners = 0] = await freePorts(3);
      const script = join(sourceRoot, 'cli/demo/plain-service.ts');
      const service = controlPlane.start({ name: 'app', script, args: ['app'], talks: true });
      const { port: app } = await answerOf(service, z.object({ port: z.number() }));
      const ports = { admin: adminPort, everybody, partner: partners, app };
      const bootstrap = envoyFederationBootstrap(agentSocket, ports);
      const options = '--concurrency 1 --disable-hot-restart --log-level warning'.split(' ');
      const proxy = controlPlane.start({
        name: 'envoy',
        executable: envoy,
        script: '--config-path',
        args: [writeConfig(directory, 'envoy', bootstrap), ...options],
      });
      const until = (what: string, check: () => Promise<boolean>): Promise<true> =>
        waitFor(what, 40_000, async () => {
          failIfEnded(proxy);
          return (await check()) ? true : undefined;
        });

      await until('the partner being let in', () => isLetIn(everybody, shop));
      await until('the partner being let in by its own list', () => isLetIn(partners, shop));
      await until('our own being let in', () => isLetIn(everybody, own()));
      expect(await isLetIn(everybody, forged)).toBe(false);
      expect(await isLetIn(everybody, impostor)).toBe(false);
      // The partner's list is no list of ours.
      expect(await isLetIn(partners, own())).toBe(false);
      expect(await isLetIn(partners, impostor)).toBe(false);
      expect(await isLetIn(partners, forged)).toBe(false);
      expect(await isLetIn(everybody, shop)).toBe(true);

      await admin.deleteFederatedBundle('partner.test');
      await until('the partner being refused', async () => !(await isLetIn(everybody, shop)));
      expect(await isLetIn(everybody, own())).toBe(true);
      await setBundle();
      await until('the partner being let in again', () => isLetIn(everybody, shop));
    },
  );
});

interface Shown {
  readonly chainPem: string;
  readonly keyPem: string;
}

/** A workload of ours, this process; its certificates live for seconds, so it is the newest each time. */
async function ownIdentity({ admin, agentSocket, nodeId }: ControlPlane): Promise<() => Shown> {
  await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: nodeId,
    selectors: [`unix:path:${realpathSync(process.execPath)}`],
  });
  const client = new SdsClient(agentSocket);
  client.ask(['default']);
  const newest = (): Shown => {
    const { chain, key } = certificateOf(secretsOf(client.last).get('default'));
    return { chainPem: chain, keyPem: key };
  };
  await eventually(newest);
  return newest;
}

/** Whether a request gets through: in TLS 1.3 a refusal comes after the handshake. */
function isLetIn(port: number, { chainPem, keyPem }: Shown): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        agent: false,
        cert: chainPem,
        key: keyPem,
        // It is about whom Envoy lets in.
        rejectUnauthorized: false,
      },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode === 200));
        response.on('error', () => resolve(false));
      },
    );
    outgoing.on('error', () => resolve(false));
    outgoing.end();
  });
}
