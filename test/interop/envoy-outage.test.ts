/** The CA and the agent are killed, and the agent alone comes back: an unmodified Envoy does not notice. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import {
  type ControlPlane,
  failIfEnded,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import {
  type Leaf,
  type OutageProxy,
  request,
  startApp,
  surviveOutage,
} from '../system/outage-mesh.ts';
import { envoyBootstrap } from './envoy-bootstrap.ts';
import { findEnvoy, testWith } from './peers.ts';

const envoyId = 'spiffe://mesh.test/envoy';

describe('Envoy in an outage', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-outage-'));
  let controlPlane: ControlPlane | undefined;

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
    'no request fails until the leaf ends, then all do, and they work again when the CA is back',
    async (envoy) => {
      if (controlPlane === undefined) throw new Error('the control plane did not start');
      await surviveOutage(controlPlane, await startEnvoy(controlPlane, envoy));
    },
  );
});

/** One Envoy that speaks mTLS with itself. */
async function startEnvoy(controlPlane: ControlPlane, executable: string): Promise<OutageProxy> {
  const [admin = 0, front = 0, back = 0] = await freePorts(3);
  await controlPlane.admin.createEntry({
    spiffeId: envoyId,
    parentId: controlPlane.nodeId,
    selectors: [`unix:path:${executable}`],
  });
  const app = await startApp(controlPlane);
  const ports = { admin, front, back, peer: back, app };
  const bootstrap = envoyBootstrap(controlPlane.agentSocket, ports, envoyId);
  const child = controlPlane.start({
    name: 'envoy',
    executable,
    script: '--config-path',
    args: [
      writeConfig(controlPlane.directory, 'envoy', bootstrap),
      '--concurrency',
      '1',
      '--disable-hot-restart',
      '--log-level',
      'warning',
    ],
  });
  const read = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${admin}${path}`);
  const leaf = async (): Promise<Leaf | undefined> => {
    const { certificates } = certsSchema.parse(await (await read('/certs')).json());
    const [found] = certificates.flatMap(({ cert_chain: [first] }) => first ?? []);
    return found && { serial: found.serial_number, notAfterMs: Date.parse(found.expiration_time) };
  };
  await waitFor('Envoy having its secrets', 30_000, async () => {
    failIfEnded(child);
    return leaf();
  });
  const route = { name: 'itself', port: front, path: '/itself', service: 'app', peer: '' };
  return {
    child,
    route,
    leaf,
    // Of each connection it makes twenty requests at most.
    handshakes: async () => (await request(route)) || (await request(route)),
    async changes() {
      const text = await (await read('/stats?filter=ssl_context_update_by_sds')).text();
      const counts = [...text.matchAll(/ssl_context_update_by_sds: (\d+)/g)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    },
  };
}

const certsSchema = z.object({
  certificates: z.array(
    z.object({
      cert_chain: z
        .array(z.object({ serial_number: z.string(), expiration_time: z.string() }))
        .default([]),
    }),
  ),
});
