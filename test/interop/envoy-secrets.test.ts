/** Unmodified Envoys use what the agent gives them: a named secret in requests, ticket keys that several of them share. */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { freePorts } from '../../core/index.ts';
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

describe('Envoy and secrets', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-secrets-'));
  let controlPlane: ControlPlane;

  beforeAll(async () => {
    // The certificates outlive the test: a session is bound to the one it began under.
    if (findEnvoy() !== undefined) controlPlane = await startControlPlane(directory, () => {});
  });
  afterAll(async () => {
    await controlPlane?.stop();
    rmSync(directory, { recursive: true });
  });

  testWith(
    findEnvoy(),
    'Envoy',
    'a secret is in the requests and its new version too; a session of one Envoy goes on at another',
    async (envoy) => {
      const { admin } = controlPlane;
      await admin.createEntry({
        spiffeId: envoyId,
        parentId: controlPlane.nodeId,
        selectors: [`unix:path:${envoy}`],
        x509SvidTtlSeconds: 20,
      });
      const put = (value: string): Promise<unknown> =>
        admin.putSecret('api-token', {
          allow: [envoyId],
          values: { '': Buffer.from(value).toString('base64') },
        });
      await put('Bearer one');
      const app = createServer((request, response) => {
        response.end(request.headers.authorization ?? 'none');
      });
      app.listen(0, '127.0.0.1');
      await once(app, 'listening');
      const appAddress = app.address();
      const appPort = typeof appAddress === 'object' ? (appAddress?.port ?? 0) : 0;
      const [firstAdmin = 0, first = 0, secondAdmin = 0, second = 0, aloneAdmin = 0, alone = 0] =
        await freePorts(6);
      const start = (name: string, adminPort: number, front: number, shares = true) =>
        controlPlane.start({
          name,
          executable: envoy,
          script: '--config-path',
          args: [
            writeConfig(
              directory,
              name,
              envoySecretsBootstrap(controlPlane.agentSocket, {
                admin: adminPort,
                front,
                app: appPort,
                ...(shares ? { ticketKeys: 'session-ticket-keys' } : {}),
              }),
            ),
            '--concurrency',
            '1',
            '--disable-hot-restart',
            '--log-level',
            'warning',
          ],
        });
      const proxies = [
        start('envoy-a', firstAdmin, first),
        start('envoy-b', secondAdmin, second),
        start('envoy-c', aloneAdmin, alone, false),
      ];
      try {
        const until = (port: number, wanted: string): Promise<unknown> =>
          waitFor(`${wanted} from ${port}`, 30_000, async () => {
            for (const proxy of proxies) failIfEnded(proxy);
            const { body } = await ask(port);
            return body.endsWith(wanted) ? true : undefined;
          });
        await until(first, 'Bearer one');
        await until(second, 'Bearer one');
        await put('Bearer two');
        await until(first, 'Bearer two');
        await until(second, 'Bearer two');
        await until(alone, 'Bearer two');

        const fresh = await ask(first);
        expect(fresh.isReused).toBe(false);
        expect((await ask(first, fresh.session)).isReused).toBe(true);
        expect((await ask(second, fresh.session)).isReused).toBe(true);
        // The same identity and certificate, with keys of its own.
        expect((await ask(alone, fresh.session)).isReused).toBe(false);

        // Envoy names what it has, and keeps its content to itself.
        const dump = await (
          await fetch(`http://127.0.0.1:${firstAdmin}/config_dump?resource=dynamic_active_secrets`)
        ).text();
        for (const name of ['default', 'api-token', 'session-ticket-keys']) {
          expect(dump).toContain(`"name": "${name}"`);
        }
        expect(dump).not.toContain('Bearer');
      } finally {
        app.close();
      }
    },
  );
});

/** One request over TLS; the newest ticket of the connection is the session to come back with. */
async function ask(
  port: number,
  session?: Buffer,
): Promise<{
  readonly body: string;
  readonly isReused: boolean;
  readonly session: Buffer | undefined;
}> {
  const socket: TLSSocket = connect({
    host: '127.0.0.1',
    port,
    // Who it is was settled by other tests; here it is about sessions.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ...(session === undefined ? {} : { session }),
  });
  let isReused = false;
  let ticket: Buffer | undefined;
  socket.on('session', (each: Buffer) => {
    ticket = each;
  });
  const parts: Buffer[] = [];
  try {
    await once(socket, 'secureConnect');
    isReused = socket.isSessionReused();
    socket.write('GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n');
    for await (const part of socket) parts.push(Buffer.from(part));
  } catch (error) {
    return { body: String(error), isReused: false, session: undefined };
  } finally {
    socket.destroy();
  }
  return {
    body: bodyOf(Buffer.concat(parts)),
    isReused,
    session: ticket,
  };
}

/** Of an answer that may be in chunks, the last line that is not a chunk's length. */
function bodyOf(answer: Buffer): string {
  const lines = answer
    .toString('latin1')
    .split('\r\n')
    .filter((line) => line !== '' && line !== '0');
  return lines.at(-1) ?? '';
}
