/**
 * Where named secrets and session-ticket keys are, and where they are not: in the memory of an agent and of an SDS
 * server, and in nothing that these write or show.
 */

import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import type { DataSource, Secret } from '../../api/index.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { keyPatternsOf, scanFiles } from '../../cli/demo/key-scan.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { parseCertificate } from '../../pki/index.ts';
import { tlsChannel } from '../../rpc/index.ts';
import { checkLeaf } from '../../spiffe/index.ts';
import { certificateOf, SdsClient, secretsOf } from '../fakes/sds-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { countInMemory, needlesOf } from './process-memory.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-secret-hygiene-'));
const socket = join(directory, 'run', 'agent.sock');
const webId = 'spiffe://mesh.test/web';
const remoteId = 'spiffe://mesh.test/remote';
const names = ['default', 'db-password', 'session-ticket-keys'];
const children: Child[] = [];
let mesh: CaFixture;
let port = 0;

beforeAll(async () => {
  for (const name of ['logs', 'tmp', 'config', 'run']) mkdirSync(join(directory, name));
  mesh = await CaFixture.begin();
  // Half of a workload's is the time between two keys.
  const lifetimes = { root: '1h', issuing: '30m', x509Svid: '20s', nodeSvid: '5m', backdate: '5s' };
  await mesh.restart({ lifetimes });
  const agent = await startProgram('agent', ['agent', 'run'], { socket });
  await entry(webId, agent, [`unix:uid:${process.getuid?.() ?? 0}`]);
  [port = 0] = await freePorts(1);
  const server = await startProgram('sds-server', ['sds-server', 'run'], {
    listen: `127.0.0.1:${port}`,
    adminSocket: 'off',
    cache: 'off',
  });
  await entry(remoteId, server, [`mtls:spiffe_id:${webId}`, 'mtls:trust_domain:mesh.test']);
});
afterAll(async () => {
  for (const child of children) await child.stop('SIGTERM');
  await mesh.end();
  rmSync(directory, { recursive: true });
});

/** The SPIFFE ID of the node that it is to the CA. */
async function startProgram(name: string, args: readonly string[], more: object): Promise<string> {
  const { token, rootSha256, spiffeId } = await mesh.admin.createToken({ ttlSeconds: 60 });
  const ca = { address: `127.0.0.1:${mesh.ca.agentPort}`, rootSha256 };
  const content = { trustDomain: 'mesh.test', ca, join: { token }, logLevel: 'debug', ...more };
  const config = writeConfig(directory, name, content);
  const script = signetScript;
  children.push(startChild({ name, directory, script, args: [...args, '--config', config] }));
  await waitFor(`${name} being connected`, 30_000, async () => {
    const { nodes } = await mesh.admin.listNodes();
    return nodes.some((node) => node.spiffeId === spiffeId && node.connected) ? true : undefined;
  });
  return spiffeId;
}

async function entry(spiffeId: string, parentId: string, selectors: string[]): Promise<void> {
  await mesh.admin.createEntry({ spiffeId, parentId, selectors });
}

async function put(value: string): Promise<void> {
  const values = { '': Buffer.from(value).toString('base64') };
  // A search of memory holds up this process, and with it the CA: what was idle may have been closed.
  await waitFor('the secret being stored', 10_000, async () =>
    mesh.admin.putSecret('db-password', { values, allow: [webId, remoteId] }),
  );
}

/** A client that acknowledges whatever comes, and what it has by now. */
function follow(client: SdsClient): Follower {
  const have = new Map<string, Secret>();
  let seen = 0;
  client.ask(names);
  return {
    async holding(password, replaced = []) {
      return waitFor('the secrets', 30_000, () => {
        if (client.responses.length > seen) {
          for (const response of client.responses.slice(seen)) {
            for (const [name, secret] of secretsOf(response)) have.set(name, secret);
          }
          seen = client.responses.length;
          client.acknowledge(names);
        }
        const [plain, keys] = ['db-password', 'session-ticket-keys'].map((name) => have.get(name));
        if (plain?.type?.$case !== 'genericSecret' || keys?.type?.$case !== 'sessionTicketKeys') {
          return undefined;
        }
        const text = bytesOf(plain.type.value.secret);
        if (text.toString() !== password) return undefined;
        const certificate = certificateOf(have.get('default'));
        if (replaced.includes(certificate.key)) return undefined;
        return {
          // A needle must lie within what is looked at twice at the border of two chunks.
          password: text.subarray(text.length / 2, text.length / 2 + 48),
          tickets: bytesOf(keys.type.value.keys[0]).subarray(0, 48),
          certificate,
        };
      });
    },
    close: () => client.close(),
  };
}

interface Follower {
  /** Resolves when it has this password, and a key that is none of those. */
  holding(
    password: string,
    replaced?: readonly string[],
  ): Promise<{
    readonly password: Buffer;
    readonly tickets: Buffer;
    readonly certificate: { readonly chain: string; readonly key: string };
  }>;
  close(): void;
}

function bytesOf(source: DataSource | undefined): Buffer {
  const value = source?.specifier?.value;
  return Buffer.from(value instanceof Uint8Array ? value : '');
}

/** Of another machine, known by the certificate that the agent gave it. */
function remoteClient({ chain, key }: { chain: string; key: string }, roots: string): SdsClient {
  const context = createSecureContext({ ca: roots, cert: chain, key, minVersion: 'TLSv1.3' });
  return new SdsClient(
    tlsChannel({ host: '127.0.0.1', port }, context, (der) => {
      const verdict = checkLeaf(parseCertificate(der));
      return verdict.kind === 'ok' ? undefined : 'no SVID';
    }),
  );
}

test.runIf(process.getuid?.() === 0)(
  'what agent and sds-server give out is in their memory, and soon after it was replaced no more',
  { timeout: 240_000 },
  async () => {
    const [agent = 0, server = 0] = children.map(({ pid }) => pid);
    const text = randomBytes(64).toString('hex');
    await put(text);
    const local = follow(new SdsClient(socket));
    const { roots } = await mesh.address();
    const { certificate: own } = await local.holding(text);
    const remote = follow(remoteClient(own, roots));
    const programs = [
      { name: 'agent', pid: agent, client: local },
      { name: 'sds-server', pid: server, client: remote },
    ];
    const first = await Promise.all(
      programs.map(async ({ pid, name, client }) => {
        const { password, tickets, certificate } = await client.holding(text);
        const needles = needlesOf(keyPatternsOf(createPrivateKey(certificate.key)));
        return { pid, name, client, password, tickets, key: certificate.key, needles };
      }),
    );
    for (const { pid, name, password, tickets, needles } of first) {
      // So what is looked for below, and in files in the next test, is what these programs have.
      const [passwords, ticketKeys, ...keys] = countInMemory(pid, [password, tickets, ...needles]);
      expect(passwords, `the secret in ${name}`).toBeGreaterThan(0);
      expect(ticketKeys, `the ticket key in ${name}`).toBeGreaterThan(0);
      expect(
        keys.some((count) => count > 0),
        `the key in ${name}`,
      ).toBe(true);
    }
    const next = randomBytes(64).toString('hex');
    await put(next);
    for (const { client, key } of first) await client.holding(next, [key]);
    for (const { pid, name, password, needles } of first) {
      const count = (): number[] => countInMemory(pid, [password, ...needles]);
      // Each look holds up this process, and with it the CA that the programs talk to.
      await expect
        .poll(count, { timeout: 90_000, interval: 2000, message: `replaced, and still in ${name}` })
        .toEqual([0, 0, 0, 0]);
    }
    local.close();
    remote.close();
  },
);

test('no secret and no ticket key is in a file, a log line, an argument or a variable', async () => {
  const text = randomBytes(64).toString('hex');
  await put(text);
  const client = follow(new SdsClient(socket));
  const { password, tickets } = await client.holding(text);
  client.close();
  const patterns = [password, tickets].map((secret) => [
    secret,
    Buffer.from(secret.toString('hex')),
    Buffer.from(secret.toString('base64').slice(0, 60)),
  ]);
  const { files, hits } = scanFiles(directory, [], patterns);
  expect(hits).toEqual([]);
  // The logs, the configurations and the sealed cache.
  expect(files).toBeGreaterThanOrEqual(5);
  for (const { pid } of children) {
    for (const name of ['environ', 'cmdline']) {
      const shown = readFileSync(`/proc/${pid}/${name}`);
      expect(patterns.flat().some((pattern) => shown.includes(pattern))).toBe(false);
    }
  }
});
