/** An unmodified Envoy refuses what was revoked, by `ALL` and by `ROOTCA`, and goes on accepting the rest. */

import type { KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
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
import { generateKeyPair, parseCertificate, pemEncode } from '../../pki/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { csrOf, joinNode, type TestNode } from '../system/ca-client.ts';
import { envoyRevocationBootstrap, type RevocationPorts } from './envoy-bootstrap.ts';
import { findEnvoy, testWith } from './peers.ts';

interface Client {
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
  readonly serial: string;
  readonly issuerKeyId: string;
}

describe('Envoy and revocation', () => {
  const directory = mkdtempSync(join(tmpdir(), 'signet-envoy-crl-'));
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
    'a revoked leaf and a leaf under a revoked authority are refused, all others accepted',
    async (envoy) => {
      const { admin } = controlPlane;
      const [adminPort = 0, byAll = 0, byRoots = 0] = await freePorts(3);
      await admin.createEntry({
        spiffeId: 'spiffe://mesh.test/envoy',
        parentId: controlPlane.nodeId,
        selectors: [`unix:path:${envoy}`],
      });
      const script = join(sourceRoot, 'cli/demo/plain-service.ts');
      const app = await answerOf(
        controlPlane.start({ name: 'app', script, args: ['app'], talks: true }),
        z.object({ port: z.number() }),
      );
      const ports = { admin: adminPort, byAll, byRoots, app: app.port };
      const bootstrap = envoyRevocationBootstrap(controlPlane.agentSocket, ports);
      const config = writeConfig(directory, 'envoy', bootstrap);
      const proxy = controlPlane.start({
        name: 'envoy',
        executable: envoy,
        script: '--config-path',
        args: [config, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'],
      });
      // Each on a node of its own: one whose authority is revoked is nobody to the CA either.
      const issue = async (name: string): Promise<Client> => {
        const node = await joinTo(controlPlane);
        try {
          const entryId = await entryOf(controlPlane, node, name);
          return await waitFor('a certificate', 5000, () => issued(node, entryId));
        } finally {
          node.close();
        }
      };
      const until = (what: string, client: Client, wanted: Verdicts): Promise<true> =>
        waitFor(what, 8000, async () => {
          failIfEnded(proxy);
          const verdicts = await judge(ports, client);
          return JSON.stringify(verdicts) === JSON.stringify(wanted) ? true : undefined;
        });

      await waitFor('Envoy serving', 30_000, async () => {
        failIfEnded(proxy);
        const { all, roots } = await judge(ports, await issue('web'));
        return all && roots ? true : undefined;
      });

      // A leaf.
      const [stolen, other] = [await issue('web'), await issue('orders')];
      expect(await judge(ports, stolen)).toEqual(accepted);
      await admin.revoke({ serial: stolen.serial, reason: 'keyCompromise' });
      await until('the revoked leaf being refused', stolen, refused);
      expect(await judge(ports, other)).toEqual(accepted);
      expect(await judge(ports, await issue('web'))).toEqual(accepted);

      // An issuing authority: its root goes on being trusted, and names it on a list of its own.
      const under = await issue('orders');
      expect(await judge(ports, under)).toEqual(accepted);
      await admin.taintAuthority(under.issuerKeyId);
      await admin.revokeAuthority(under.issuerKeyId, true);
      await until('the leaf under the revoked authority being refused', under, refused);
      const anew = await issue('orders');
      expect(anew.issuerKeyId).not.toBe(under.issuerKeyId);
      await until('the leaf under the new authority being accepted', anew, accepted);
      expect(await judge(ports, under)).toEqual(refused);

      const stats = await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).text();
      expect(stats).toMatch(/^sds\.ALL\.update_rejected: 0$/m);
      expect(stats).toMatch(/^sds\.ROOTCA\.update_rejected: 0$/m);
      expect(proxy.ended()).toBeUndefined();
    },
  );
});

interface Verdicts {
  readonly all: boolean;
  readonly roots: boolean;
}
const accepted: Verdicts = { all: true, roots: true };
const refused: Verdicts = { all: false, roots: false };

/** Whether each of the listeners answers a request of this client. */
async function judge({ byAll, byRoots }: RevocationPorts, client: Client): Promise<Verdicts> {
  return { all: await isServed(byAll, client), roots: await isServed(byRoots, client) };
}

function isServed(port: number, { chain, key }: Client): Promise<boolean> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      cert: chain.map((der) => pemEncode('CERTIFICATE', der)).join(''),
      key: key.export({ format: 'pem', type: 'pkcs8' }),
    });
    // In TLS 1.3 a client learns that it was refused where the answer should be.
    socket.once('secureConnect', () =>
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(text.startsWith('HTTP/1.1 200')));
  });
}

async function joinTo({ admin }: ControlPlane): Promise<TestNode> {
  const { agentAddress } = await admin.status();
  const { x509Authorities } = parseBundle(await admin.bundle(), parseTrustDomain('mesh.test'));
  const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  const { token } = await admin.createToken({ ttlSeconds: 60 });
  return joinNode({ port: Number(agentAddress.split(':').at(-1)), roots }, token);
}

async function entryOf({ admin }: ControlPlane, node: TestNode, name: string): Promise<string> {
  const { id } = await admin.createEntry({
    spiffeId: `spiffe://mesh.test/${name}`,
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
  });
  return id;
}

async function issued(node: TestNode, entryId: string): Promise<Client | undefined> {
  const key = generateKeyPair('ec-p256').privateKey;
  const answer = await node.sign(entryId, await csrOf(key));
  const outcome = answer.items[0]?.outcome;
  if (outcome?.$case !== 'chain') return undefined;
  const chain = outcome.value.certificates;
  const { serial, extensions } = parseCertificate(new Uint8Array(chain[0] ?? []));
  const issuerKeyId = Buffer.from(extensions.authorityKeyId ?? []).toString('hex');
  return { chain, key, serial, issuerKeyId };
}
