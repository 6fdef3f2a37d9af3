/** An unmodified Envoy takes its certificate and trust from our agent, and speaks mTLS with our sidecar both ways. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import { type Child, sourceRoot } from '../../cli/demo/child.ts';
import {
  type ControlPlane,
  failIfEnded,
  signetScript,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { startLoad } from '../../cli/demo/load.ts';
import { nodeUnderName } from '../../cli/demo/node-under-name.ts';
import { answerOf } from '../../cli/demo/talk.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { envoyBootstrap } from './envoy-bootstrap.ts';
import { findEnvoy, testWith } from './peers.ts';

const sidecarId = 'spiffe://mesh.test/sidecar';
const envoyId = 'spiffe://mesh.test/envoy';
const rotationsWanted = 3;

describe('Envoy', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-'));
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
    'serves and calls through three rotations with no failed request',
    async (envoy) => {
      if (controlPlane === undefined) throw new Error('the control plane did not start');
      const [adminPort = 0, front = 0, back = 0, sidecarAdmin = 0, inbound = 0, outbound = 0] =
        await freePorts(6);
      const executable = nodeUnderName(join(directory, 'bin', 'sidecar'));
      for (const [spiffeId, path] of [
        [envoyId, envoy],
        [sidecarId, executable],
      ] as const) {
        await controlPlane.admin.createEntry({
          spiffeId,
          parentId: controlPlane.nodeId,
          selectors: [`unix:path:${path}`],
        });
      }
      const app = await startApp(controlPlane, 'app');
      const sidecar = startSidecar(controlPlane, executable, {
        sidecarAdmin,
        inbound,
        outbound,
        back,
        app: app.port,
      });
      const bootstrap = envoyBootstrap(
        controlPlane.agentSocket,
        { admin: adminPort, front, back, peer: inbound, app: app.port },
        sidecarId,
      );
      const proxy = controlPlane.start({
        name: 'envoy',
        executable: envoy,
        script: '--config-path',
        args: [
          writeConfig(directory, 'envoy', bootstrap),
          '--concurrency',
          '1',
          '--disable-hot-restart',
          '--log-level',
          'warning',
        ],
      });
      await waitFor('Envoy having its secrets', 30_000, async () => {
        failIfEnded(proxy);
        return (await serialsOf(adminPort)).length > 0 ? true : undefined;
      });
      await waitFor('our sidecar being ready', 20_000, async () => {
        failIfEnded(sidecar);
        return (await fetch(`http://127.0.0.1:${sidecarAdmin}/readyz`)).ok ? true : undefined;
      });

      const load = startLoad(
        [
          {
            name: 'Envoy → sidecar',
            port: front,
            path: '/to-sidecar',
            service: 'app',
            peer: envoyId,
          },
          { name: 'sidecar → Envoy', port: outbound, path: '/to-envoy', service: 'app', peer: '' },
        ],
        2,
      );
      const serials = new Set<string>();
      await waitFor(`${rotationsWanted} rotations in Envoy`, 60_000, async () => {
        for (const serial of await serialsOf(adminPort)) serials.add(serial);
        return serials.size > rotationsWanted ? true : undefined;
      });
      await load.stop();

      const counts = load.counts();
      expect(counts.failures).toEqual([]);
      expect(counts.failed).toBe(0);
      expect(counts.requests).toBeGreaterThan(500);
      const stats = await statsOf(adminPort);
      expect(stats.get('sds.default.update_success')).toBeGreaterThan(rotationsWanted);
      expect(stats.get('sds.default.update_rejected')).toBe(0);
      expect(stats.get('sds.ALL.update_rejected')).toBe(0);
      expect(stats.get('http.front.downstream_rq_2xx')).toBeGreaterThan(200);
      expect(stats.get('http.front.downstream_rq_5xx')).toBe(0);
      expect(stats.get('http.back.downstream_rq_2xx')).toBeGreaterThan(200);
      expect(stats.get('http.back.downstream_rq_5xx')).toBe(0);
      expect(stats.get('cluster.peer.ssl.fail_verify_san')).toBe(0);
      expect(stats.get('cluster.peer.ssl.fail_verify_error')).toBe(0);
      // Handshakes went on all the time, and not only before the first rotation.
      expect(stats.get('cluster.peer.ssl.handshake')).toBeGreaterThan(10);
      expect(proxy.ended()).toBeUndefined();
      expect(sidecar.ended()).toBeUndefined();
    },
  );
});

async function startApp(
  controlPlane: ControlPlane,
  name: string,
): Promise<{ readonly port: number }> {
  const script = join(sourceRoot, 'cli/demo/plain-service.ts');
  const child = controlPlane.start({ name, script, args: [name], talks: true });
  return answerOf(child, z.object({ port: z.number() }));
}

interface SidecarPorts {
  readonly sidecarAdmin: number;
  readonly inbound: number;
  readonly outbound: number;
  /** Envoy's mTLS listener. */
  readonly back: number;
  readonly app: number;
}

function startSidecar(controlPlane: ControlPlane, executable: string, ports: SidecarPorts): Child {
  const config = writeConfig(controlPlane.directory, 'sidecar', {
    node: { id: 'sidecar-1', cluster: 'sidecar' },
    sds: { socket: controlPlane.agentSocket },
    admin: `127.0.0.1:${ports.sidecarAdmin}`,
    accessLog: 'off',
    listeners: [
      {
        name: 'inbound',
        address: `127.0.0.1:${ports.inbound}`,
        tls: { allow: [envoyId] },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
      {
        name: 'outbound',
        address: `127.0.0.1:${ports.outbound}`,
        plaintext: true,
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'envoy' }],
      },
    ],
    clusters: [
      { name: 'app', endpoints: [`127.0.0.1:${ports.app}`] },
      { name: 'envoy', endpoints: [`127.0.0.1:${ports.back}`], tls: { expect: [envoyId] } },
    ],
  });
  return controlPlane.start({
    name: 'sidecar',
    executable,
    script: signetScript,
    args: ['proxy', 'run', '--config', config],
  });
}

const certsSchema = z.object({
  certificates: z.array(
    z.object({ cert_chain: z.array(z.object({ serial_number: z.string() })).default([]) }),
  ),
});

/** The serials of the leaf certificates that Envoy now presents. */
async function serialsOf(adminPort: number): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/certs`);
  const { certificates } = certsSchema.parse(await response.json());
  return certificates.flatMap(({ cert_chain: [leaf] }) =>
    leaf === undefined ? [] : [leaf.serial_number],
  );
}

async function statsOf(adminPort: number): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).text();
  return new Map(
    text.split('\n').flatMap((line): (readonly [string, number])[] => {
      const [name, value] = line.split(': ');
      return name === undefined || value === undefined ? [] : [[name, Number(value)]];
    }),
  );
}
