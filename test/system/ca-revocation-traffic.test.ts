/** Revocation under traffic, with real processes: a CA, an agent and two sidecars, judged by OpenSSL beside our own proxy. */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Mesh, type Sidecar, startMesh } from '../../cli/demo/mesh.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { sleep, systemClock } from '../../core/index.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { peerChainOf } from '../../rpc/index.ts';
import { parseBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { runSignet } from './signet-command.ts';
import { lacks } from '../programs.ts';

const program = 'openssl';

describe('two sidecars with traffic', () => {
  let directory = '';
  let mesh: Mesh;
  let web: Sidecar;
  let orders: Sidecar;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'signet-revocation-'));
    mkdirSync(join(directory, 'mesh'));
    mesh = await startMesh(join(directory, 'mesh'), () => {});
    const [first, second] = mesh.sidecars;
    if (first === undefined || second === undefined) throw new Error('no sidecars');
    [web, orders] = [first, second];
  });
  afterAll(async () => {
    await mesh.controlPlane.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const revoke = (...args: string[]) =>
    runSignet(['svid', 'revoke', ...args, '-o', 'json'], {
      SIGNET_ADMIN_SOCKET: join(mesh.controlPlane.directory, 'ca-admin.sock'),
    });
  const ask = async (): Promise<number> => {
    const response = await fetch(`http://127.0.0.1:${web.outboundPort}/orders`);
    await response.text();
    return response.status;
  };

  test('a revoked one is refused at once, live and anew, until it has its next certificate', async () => {
    await waitFor('traffic', 10_000, async () => ((await ask()) === 200 ? true : undefined));
    // A request that is under way holds its connection; the certificate must be that of before and after.
    const { chain, serial, socket } = await waitFor('a live connection', 10_000, async () => {
      const began = await serialOf(web);
      const held = await heldRequest(web);
      const presented = await chainOf(web);
      if ((await serialOf(web)) === began && presented[0]?.serial === began)
        return { chain: presented, serial: began, socket: held };
      held.destroy();
      return undefined;
    });
    const before = await inboundOf(orders);
    const ended = once(socket, 'close');

    const beganMs = performance.now();
    const { admin } = mesh.controlPlane;
    const { revoked } = await admin.revoke({ serial, reason: 'keyCompromise' });
    expect(revoked).toHaveLength(1);
    await waitFor('the live connection ending', 5000, async () =>
      (await inboundOf(orders)).tlsPeersRevoked > before.tlsPeersRevoked ? true : undefined,
    );
    expect(performance.now() - beganMs).toBeLessThan(1000);
    socket.destroy();
    await ended;
    await waitFor('the next certificate', 5000, async () =>
      (await serialOf(web)) !== serial ? true : undefined,
    );
    await waitFor('traffic again', 5000, async () => ((await ask()) === 200 ? true : undefined));

    const { crls, revocations, times } = await admin.listRevocations();
    expect(revocations[0]).toMatchObject({ serial, reason: 'keyCompromise' });
    expect(times.pushes).toBeGreaterThan(0);
    // From the admin call to the agent having dropped it and passed it on.
    expect(times.applications).toBeGreaterThan(0);
    expect(times.lastAppliedMs).toBeLessThan(1000);
    if (!lacks(program)) await judge(crls, chain);
  });

  test('a connection that was dialled to a server ends with its certificate, and is counted', async () => {
    await waitFor('traffic', 10_000, async () => ((await ask()) === 200 ? true : undefined));
    const socket = await heldRequest(web);
    const before = await dialledRevokedOf(web);
    // All that live: the connection may be older than the server's newest certificate.
    await mesh.controlPlane.admin.revoke({ spiffeId: orders.spiffeId });
    await waitFor('the dialled connection ending', 5000, async () =>
      (await dialledRevokedOf(web)) > before ? true : undefined,
    );
    const { text } = await fetch(`http://127.0.0.1:${web.adminPort}/stats?format=prometheus`).then(
      async (response) => ({ text: await response.text() }),
    );
    expect(text).toMatch(/^signet_proxy_cluster_peers_revoked_total\{cluster="\w+"\} [1-9]/m);
    socket.destroy();
    await waitFor('traffic again', 5000, async () => ((await ask()) === 200 ? true : undefined));
  });

  test('a blocked one stays out until it is let in again', async () => {
    await waitFor('traffic', 10_000, async () => ((await ask()) === 200 ? true : undefined));
    const refusedBefore = (await inboundOf(orders)).tlsPeersRefused;
    const { code, stderr } = await revoke('--id', web.spiffeId, '--block');
    expect(code, stderr).toBe(0);
    await waitFor('traffic being refused', 5000, async () => {
      const status = await ask();
      return status >= 500 ? true : undefined;
    });
    await waitFor('a refused handshake', 5000, async () => {
      await ask();
      return (await inboundOf(orders)).tlsPeersRefused > refusedBefore ? true : undefined;
    });
    expect(await ask()).toBeGreaterThanOrEqual(500);

    expect(await mesh.controlPlane.admin.unblock(web.spiffeId)).toMatchObject({ wasBlocked: true });
    await waitFor('traffic again', 15_000, async () => ((await ask()) === 200 ? true : undefined));
  });

  async function judge(crls: readonly string[], chain: Chain): Promise<void> {
    const { admin } = mesh.controlPlane;
    const bundle = parseBundle(await admin.bundle(), parseTrustDomain('mesh.test'));
    const write = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const pem = (each: { der: Uint8Array }): string => pemEncode('CERTIFICATE', each.der);
    const roots = write('roots.pem', bundle.x509Authorities.map(pem).join(''));
    const issuing = write('issuing.pem', chain.slice(1).map(pem).join(''));
    const leaf = write('leaf.pem', chain.slice(0, 1).map(pem).join(''));
    const lists = write('lists.pem', crls.join(''));
    const verify = (args: readonly string[]): string => {
      const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
      return stdout + stderr;
    };
    const list = crls.find((text) => verifyAnswer(text, issuing).includes('verify OK'));
    expect(list).toBeDefined();
    const args = ['-CAfile', roots, '-untrusted', issuing, '-CRLfile', lists, leaf];
    expect(verify(['verify', '-crl_check', ...args])).toContain('certificate revoked');
  }

  function verifyAnswer(list: string, issuing: string): string {
    const { stdout, stderr } = spawnSync(
      program,
      ['crl', '-noout', '-verify', '-CAfile', issuing],
      { encoding: 'utf8', input: list },
    );
    return stdout + stderr;
  }
});

type Chain = readonly ReturnType<typeof parseCertificate>[];

async function serialOf(sidecar: Sidecar): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/certs`);
  return certsSchema.parse(await response.json()).identity.chain[0]?.serial ?? '';
}

async function inboundOf(sidecar: Sidecar): Promise<z.output<typeof inboundSchema>> {
  const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/stats`);
  return statsSchema.parse(await response.json()).listeners['inbound'] ?? inboundSchema.parse({});
}

/** Connections of all clusters that ended because their server was revoked. */
async function dialledRevokedOf(sidecar: Sidecar): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/stats`);
  const { clusters } = clustersSchema.parse(await response.json());
  return Object.values(clusters).reduce((sum, { peersRevoked }) => sum + peersRevoked, 0);
}

/** A request through the sidecar whose body never ends. */
async function heldRequest(sidecar: Sidecar): Promise<Socket> {
  const socket = connectTcp({ port: sidecar.outboundPort, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.write('POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx');
  await once(socket, 'connect');
  // Time for the handshake behind it.
  await sleep(systemClock, 200);
  return socket;
}

/** What the sidecar presents on its own listener. */
async function chainOf(sidecar: Sidecar): Promise<Chain> {
  const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/listeners`);
  const { port } = /"name":\s*"inbound"[^}]*?"port":\s*(?<port>\d+)/.exec(await response.text())
    ?.groups ?? { port: '0' };
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
    socket.once('secureConnect', () => {
      resolve(peerChainOf(socket).map((der) => parseCertificate(der)));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

const certsSchema = z.object({
  identity: z.object({ chain: z.array(z.object({ serial: z.string() })) }),
});
const inboundSchema = z.object({ tlsPeersRevoked: z.number(), tlsPeersRefused: z.number() });
const clustersSchema = z.object({
  clusters: z.record(z.string(), z.object({ peersRevoked: z.number() }).loose()),
});
const statsSchema = z.object({ listeners: z.record(z.string(), inboundSchema.loose()) });
