/** The CA and the agent are killed, and the agent alone comes back: traffic through our sidecar goes on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, test } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import {
  type ControlPlane,
  failIfEnded,
  signetScript,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { nodeUnderName } from '../../cli/demo/node-under-name.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { type OutageProxy, startApp, surviveOutage } from './outage-mesh.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-outage-'));
let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane(directory, () => {});
});
afterAll(async () => {
  await controlPlane.stop();
  rmSync(directory, { recursive: true });
});

const sidecarId = 'spiffe://mesh.test/sidecar';

test('a restarted agent serves on with its CA gone, until the leaf ends; and it recovers', async () => {
  await surviveOutage(controlPlane, await startSidecar());
});

/** One proxy that speaks mTLS with itself. */
async function startSidecar(): Promise<OutageProxy> {
  const [admin = 0, inbound = 0, outbound = 0] = await freePorts(3);
  const executable = nodeUnderName(join(directory, 'bin', 'sidecar'));
  await controlPlane.admin.createEntry({
    spiffeId: sidecarId,
    parentId: controlPlane.nodeId,
    selectors: [`unix:path:${executable}`],
  });
  const app = await startApp(controlPlane);
  const http = { protocol: 'http1' };
  const config = writeConfig(directory, 'sidecar', {
    node: { id: 'sidecar-1', cluster: 'sidecar' },
    sds: { socket: controlPlane.agentSocket },
    admin: `127.0.0.1:${admin}`,
    accessLog: 'off',
    listeners: [
      {
        name: 'inbound',
        address: `127.0.0.1:${inbound}`,
        tls: { allow: [sidecarId] },
        ...http,
        routes: [{ prefix: '/', cluster: 'app' }],
      },
      {
        name: 'outbound',
        address: `127.0.0.1:${outbound}`,
        plaintext: true,
        ...http,
        routes: [{ prefix: '/', cluster: 'itself' }],
      },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${app}`] },
      { name: 'itself', endpoints: [`127.0.0.1:${inbound}`], tls: { expect: [sidecarId] } },
    ],
  });
  const args = ['proxy', 'run', '--config', config];
  const child = controlPlane.start({ name: 'sidecar', executable, script: signetScript, args });
  await waitFor('the sidecar being ready', 20_000, async () => {
    failIfEnded(child);
    return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok ? true : undefined;
  });
  const read = async (path: string): Promise<Response> => fetch(`http://127.0.0.1:${admin}${path}`);
  return {
    child,
    route: { name: 'itself', port: outbound, path: '/', service: 'app', peer: sidecarId },
    handshakes: () => handshakes(inbound),
    async leaf() {
      const answer = certsSchema.safeParse(await (await read('/certs')).json());
      const [leaf] = answer.data?.identity.chain ?? [];
      return leaf && { serial: leaf.serial, notAfterMs: Date.parse(leaf.notAfter) };
    },
  };
}

function handshakes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, rejectUnauthorized: false });
    const end = (came: boolean): void => {
      socket.destroy();
      resolve(came);
    };
    socket.once('secureConnect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('close', () => end(false));
  });
}

const certsSchema = z.object({
  identity: z.object({ chain: z.array(z.object({ serial: z.string(), notAfter: z.string() })) }),
});
