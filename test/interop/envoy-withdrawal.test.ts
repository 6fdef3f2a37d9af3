/** What unmodified Envoys make of a secret that is taken away: an entry that is deleted, and a named secret. docs/sds/protocol.md says so. */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { agentAdminClient } from '../../api/index.ts';
import {
  type ControlPlane,
  failIfEnded,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { envoySecretsBootstrap } from './envoy-secrets-bootstrap.ts';
import { findEnvoy, testWith } from './peers.ts';

const envoyId = 'spiffe://mesh.test/envoy';
const apis = ['GRPC', 'DELTA_GRPC'] as const;

describe('Envoy and what is taken away', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-gone-'));
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
    'by either protocol it goes on with what it has: a secret until a new one, a certificate to its end and past it',
    async (envoy) => {
      const { admin, agentSocket, nodeId } = controlPlane;
      const createEntry = () =>
        admin.createEntry({
          spiffeId: envoyId,
          parentId: nodeId,
          selectors: [`unix:path:${envoy}`],
          x509SvidTtlSeconds: 20,
        });
      const entry = await createEntry();
      const put = (value: string): Promise<unknown> =>
        admin.putSecret('api-token', {
          allow: [envoyId],
          values: { '': Buffer.from(value).toString('base64') },
        });
      await put('Bearer one');
      const app = createServer((incoming, response) => {
        response.end(incoming.headers.authorization ?? 'none');
      });
      app.listen(0, '127.0.0.1');
      await once(app, 'listening');
      const address = app.address();
      const appPort = typeof address === 'object' ? (address?.port ?? 0) : 0;
      const ports = await freePorts(4);
      const proxies = apis.map((api, index) => {
        const [adminPort = 0, front = 0] = ports.slice(2 * index);
        const bootstrap = envoySecretsBootstrap(agentSocket, {
          admin: adminPort,
          front,
          app: appPort,
          api,
        });
        const name = `envoy-${api}`;
        const path = writeConfig(directory, name, bootstrap);
        const options = '--concurrency 1 --disable-hot-restart --log-level warning'.split(' ');
        const child = controlPlane.start({
          name,
          executable: envoy,
          script: '--config-path',
          args: [path, ...options],
        });
        return { api, front, child };
      });
      const agent = agentAdminClient(join(directory, 'run', 'agent-admin.sock'));
      const everywhere = (what: string, check: (answer: Answer) => boolean): Promise<true> =>
        waitFor(what, 40_000, async () => {
          const answers: Answer[] = [];
          for (const { front, child } of proxies) {
            failIfEnded(child);
            answers.push(await ask(front));
          }
          return answers.every(check) ? true : undefined;
        });
      /** The stream that can be told of it has been, and so it was pushed to the other one too. */
      const told = (name: string): Promise<true> =>
        waitFor(`Envoy being told that ${name} is gone`, 20_000, async () => {
          const { clients } = await agent.sdsClients();
          return clients.some(({ waiting }) => waiting.includes(name)) ? true : undefined;
        });
      try {
        await everywhere('the secret', ({ body }) => body === 'Bearer one');
        await admin.deleteSecret('api-token');
        await told('api-token');
        for (const { front } of proxies) expect((await ask(front)).body).toBe('Bearer one');
        await put('Bearer two');
        await everywhere('the new secret', ({ body }) => body === 'Bearer two');

        await admin.deleteEntry(entry.id);
        await told('default');
        const last = await Promise.all(proxies.map(({ front }) => ask(front)));
        const endMs = Math.max(...last.map(({ endsMs }) => endsMs));
        expect(endMs).toBeGreaterThan(Date.now());
        await waitFor('the certificates ending', 40_000, () =>
          Date.now() > endMs + 1000 ? true : undefined,
        );
        // It still shows what nobody may accept any more: it is the peer that refuses.
        for (const [index, { front }] of proxies.entries()) {
          expect(await ask(front)).toEqual({ ...last[index], body: 'Bearer two' });
        }
        await createEntry();
        await everywhere('a certificate again', ({ endsMs }) => endsMs > Date.now());
      } finally {
        app.close();
      }
    },
  );
});

interface Answer {
  readonly body: string;
  readonly serial: string;
  readonly endsMs: number;
}

/** Over a connection of its own, so that the certificate is the newest; whoever it is of, and however old. */
function ask(port: number): Promise<Answer> {
  return new Promise((resolve) => {
    const none = { body: '', serial: '', endsMs: 0 };
    const outgoing = request(
      { host: '127.0.0.1', port, agent: false, rejectUnauthorized: false },
      (response) => {
        const { socket } = response;
        const shown = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({
            body: Buffer.concat(parts).toString(),
            serial: shown?.serialNumber ?? '',
            endsMs: Date.parse(shown?.validTo ?? ''),
          }),
        );
      },
    );
    outgoing.on('error', () => resolve(none));
    outgoing.end();
  });
}
