/** An unmodified Envoy with no agent on its machine: its secrets come over mutual TLS, with the bootstrap of docs/sds/remote.md. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { z } from 'zod';
import { freePorts } from '../../core/index.ts';
import { agentAdminClient } from '../../api/index.ts';
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
import { blockOf, changed, documentedRemoteEnvoy } from './documented-envoy.ts';
import { findEnvoy, testWith } from './peers.ts';

const edgeId = 'spiffe://mesh.test/edge/web-1';
const serverId = 'spiffe://mesh.test/edge-sds';
const webId = 'spiffe://mesh.test/web';

describe('Envoy without an agent', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-remote-'));
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
    'is served over mutual TLS through rotations of both its certificates, with no failed request',
    async (envoy) => {
      const [admin = 0, inbound = 0, outbound = 0, sds = 0] = await freePorts(4);
      const edge = await startSink(controlPlane);
      const adminSocket = join(directory, 'run', 'sds-admin.sock');
      const server = await startSdsServer(controlPlane, sds, adminSocket);
      const script = join(sourceRoot, 'cli/demo/plain-service.ts');
      const service = controlPlane.start({ name: 'app', script, args: ['app'], talks: true });
      const { port: app } = await answerOf(service, z.object({ port: z.number() }));

      // It calls itself: whom it meets is whom it is.
      const ports = { admin, in: inbound, out: outbound, peer: inbound, app };
      const files = new Map(
        ['edge', 'edge-roots'].map((name) => [
          `/etc/envoy/${name}.yaml`,
          join(directory, 'config', `${name}.yaml`),
        ]),
      );
      for (const [shown, path] of files) {
        writeFileSync(path, changed(blockOf('docs/sds/remote.md', shown), [['/run/edge', edge]]));
      }
      const path = join(directory, 'config', 'envoy.yaml');
      const page = documentedRemoteEnvoy('web', ports);
      writeFileSync(path, changed(page, [...files, ['10.0.0.2', '127.0.0.1'], ['7445', sds]]));
      const args = [path, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'];
      const proxy = controlPlane.start({
        name: 'envoy',
        executable: envoy,
        script: '--config-path',
        args,
      });
      const read = async (name: string): Promise<number> => {
        failIfEnded(proxy);
        failIfEnded(server);
        return (await statsOf(admin)).get(name) ?? 0;
      };
      await waitFor('Envoy calling itself', 40_000, async () => {
        failIfEnded(proxy);
        failIfEnded(server);
        const answer = await fetch(`http://127.0.0.1:${outbound}/`).catch(() => undefined);
        await answer?.arrayBuffer();
        return answer?.ok === true ? true : undefined;
      });
      const route = { name: 'itself', port: outbound, path: '/', service: 'app', peer: '' };
      const load = startLoad([route], 2);

      const grown = async (what: string, name: string, by: number): Promise<void> => {
        const before = await read(name);
        await waitFor(what, 60_000, async () =>
          (await read(name)) >= before + by ? true : undefined,
        );
      };
      const rotations = 'sds.default.update_success';
      await grown('the workload’s certificate rotating', rotations, 2);
      // What it connects with ends after 20 s, and each connection with it: it comes again with the next.
      await grown(
        'a connection with another certificate',
        'cluster.agent_sds.upstream_cx_total',
        2,
      );
      expect(
        await read('cluster.agent_sds.client_ssl_socket_factory.ssl_context_update_by_sds'),
      ).toBeGreaterThan(2);

      const [client] = (await agentAdminClient(adminSocket).sdsClients()).clients;
      expect(client).toMatchObject({
        spiffeIds: [edgeId],
        offered: { svids: [{ spiffeId: webId }] },
      });

      await load.stop();
      const { failed, failures, requests } = load.counts();
      expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
      expect(requests).toBeGreaterThan(100);
      const last = await statsOf(admin);
      expect(last.get('sds.default.update_rejected')).toBe(0);
      expect(last.get('sds.ALL.update_rejected')).toBe(0);
    },
  );
});

/** Keeps the way's certificate as files, as a machine with an agent would. Answers the directory. */
async function startSink(controlPlane: ControlPlane): Promise<string> {
  const { admin, agentSocket, directory, nodeId } = controlPlane;
  const executable = nodeUnderName(join(directory, 'bin', 'sink'));
  await admin.createEntry({
    spiffeId: edgeId,
    parentId: nodeId,
    selectors: [`unix:path:${executable}`],
    x509SvidTtlSeconds: 20,
  });
  const edge = join(directory, 'edge');
  mkdirSync(edge, { mode: 0o700 });
  const config = writeConfig(directory, 'sink', {
    socket: agentSocket,
    sinks: [{ directory: edge }],
  });
  const sink = controlPlane.start({
    name: 'sink',
    executable,
    script: signetScript,
    args: ['svid', 'sink', '--config', config],
  });
  await waitFor('the certificate of the way', 30_000, () => {
    failIfEnded(sink);
    return readable(join(edge, 'svid.pem'));
  });
  return edge;
}

function readable(path: string): true | undefined {
  try {
    return readFileSync(path).length > 0 ? true : undefined;
  } catch {
    return undefined;
  }
}

/** With the entry that makes whoever shows `edgeId` the workload `webId`. */
async function startSdsServer(
  controlPlane: ControlPlane,
  port: number,
  adminSocket: string,
): Promise<Child> {
  const { admin, directory } = controlPlane;
  const agentConfig = readFileSync(join(directory, 'config', 'agent.yaml'), 'utf8');
  const { ca } = z.looseObject({ ca: z.unknown() }).parse(JSON.parse(agentConfig));
  const token = await admin.createToken({ ttlSeconds: 60, alias: serverId });
  await admin.createEntry({
    spiffeId: webId,
    parentId: serverId,
    selectors: [`mtls:spiffe_id:${edgeId}`],
    // Renewed at half of it: the rest is for a machine that is busy.
    x509SvidTtlSeconds: 24,
  });
  const config = writeConfig(directory, 'sds-server', {
    trustDomain: 'mesh.test',
    ca,
    join: { token: token.token },
    listen: `127.0.0.1:${port}`,
    adminSocket,
  });
  const server = controlPlane.start({
    name: 'sds-server',
    script: signetScript,
    args: ['sds-server', 'run', '--config', config],
  });
  await waitFor('the SDS server having its certificates', 30_000, async () => {
    failIfEnded(server);
    const status = await agentAdminClient(adminSocket)
      .status()
      .catch(() => undefined);
    return status?.ready === true && status.svidCount > 0 ? true : undefined;
  });
  return server;
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
