/** Each mistake an operator can make gets one clear line and the right exit code, and leaves nothing half-written. */

import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import {
  type ControlPlane,
  signetScript,
  startControlPlane,
  writeConfig,
} from '../../cli/demo/control-plane.ts';
import { waitFor } from '../../cli/demo/wait.ts';
import { type CommandResult, runSignet } from './signet-command.ts';

const directory = mkdtempSync(join(tmpdir(), 'signet-bad-'));
let controlPlane: ControlPlane;
let admin: readonly string[];

beforeAll(async () => {
  controlPlane = await startControlPlane(directory, () => {});
  admin = ['--socket', join(directory, 'ca-admin.sock')];
});
afterAll(async () => {
  await controlPlane.stop();
  rmSync(directory, { recursive: true });
});

/** One line on standard error that begins with the command's name, and nothing on standard output. */
function expectOneLine(result: CommandResult, code: 1 | 2, ...parts: readonly string[]): void {
  const lines = result.stderr
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('{'));
  expect(lines, result.stderr).toHaveLength(1);
  expect(lines[0]).toMatch(/^signet: /);
  for (const part of parts) expect(lines[0]).toContain(part);
  expect(result.stdout).toBe('');
  expect(result.code).toBe(code);
}

function caConfig(name: string, changes: Record<string, unknown>): string {
  const keyFile = join(directory, 'config', `${name}-kek`);
  writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  return writeConfig(directory, name, {
    trustDomain: 'mesh.test',
    data: join(directory, `${name}-data`),
    listen: '127.0.0.1:0',
    keyEncryptionKey: { file: keyFile },
    ...changes,
  });
}

test('an unknown config key is named with line and column, beside every other fault', async () => {
  const config = join(directory, 'config', 'unknown.yaml');
  writeFileSync(
    config,
    'trustDomain: Mesh.Test\ndata: /tmp/x\nlisten: 127.0.0.1:0\nkeyEncryptionKey: { env: X }\nlifetimez: {}\n',
  );
  const result = await runSignet(['ca', 'run', '--config', config]);
  expect(result.code).toBe(2);
  const lines = result.stderr.trimEnd().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain(`signet: ${config}:1:14: trustDomain: `);
  expect(lines[1]).toContain(
    `signet: ${config}:5:1: lifetimez: unknown key; did you mean lifetimes?`,
  );
});

test('a config file that is not there is named', async () => {
  expectOneLine(
    await runSignet(['ca', 'run', '--config', '/nowhere/ca.yaml']),
    2,
    '/nowhere/ca.yaml does not exist',
  );
});

test.for([
  ['a SPIFFE ID with a capital in its trust domain', 'spiffe://Mesh.test/web', 'has only a-z, 0-9'],
  ['an ID that is no SPIFFE ID', 'https://mesh.test/web', 'begins with spiffe://'],
  ['an ID of another trust domain', 'spiffe://other.test/web', 'begins with spiffe://mesh.test/'],
  ["an ID that is the CA's own", 'spiffe://mesh.test/signet/ca', '/signet'],
] as const)('%s makes no entry', async ([, id, remedy]) => {
  const before = await controlPlane.admin.listEntries({});
  const create = (spiffeId: string): Promise<CommandResult> =>
    runSignet([
      'entry',
      'create',
      '--id',
      spiffeId,
      '--parent',
      controlPlane.nodeId,
      '--selector',
      'unix:uid:4711',
      ...admin,
    ]);
  expectOneLine(await create(id), 2, id, remedy);
  expect(await controlPlane.admin.listEntries({})).toEqual(before);
  const good = await create(
    `spiffe://mesh.test/good-${encodeURIComponent(id).replaceAll(/[^a-z]/g, '')}`,
  );
  expect(good.code, good.stderr).toBe(0);
});

test('an entry that is there already is refused with its id', async () => {
  const args = [
    'entry',
    'create',
    '--id',
    'spiffe://mesh.test/twice',
    '--parent',
    controlPlane.nodeId,
    '--selector',
    'unix:uid:4712',
    '-o',
    'json',
    ...admin,
  ];
  const first = await runSignet(args);
  expect(first.code, first.stderr).toBe(0);
  const { id } = JSON.parse(first.stdout) as { id: string };
  expectOneLine(await runSignet(args), 2, id);
});

test('an entry nobody has is not found', async () => {
  expectOneLine(await runSignet(['entry', 'show', 'no-such-entry', ...admin]), 2, 'no-such-entry');
});

async function runAgent(name: string, token: string): Promise<CommandResult> {
  const { rootSha256 } = await controlPlane.admin.createToken({ ttlSeconds: 60 });
  const status = await controlPlane.admin.status();
  const config = writeConfig(directory, name, {
    trustDomain: 'mesh.test',
    ca: { address: status.agentAddress, rootSha256 },
    socket: join(directory, `${name}.sock`),
    join: { token },
  });
  return runSignet(['agent', 'run', '--config', config]);
}

test('a token that was used by another node is refused', async () => {
  // The control plane's own agent has used the first token; its config still holds it.
  const { join: joined } = JSON.parse(
    await import('node:fs/promises').then((fs) =>
      fs.readFile(join(directory, 'config', 'agent.yaml'), 'utf8'),
    ),
  ) as { join: { token: string } };
  expectOneLine(await runAgent('agent-used', joined.token), 2, 'token', 'used');
  expect(existsSync(join(directory, 'agent-used.sock'))).toBe(false);
});

test('a token that has expired is refused', async () => {
  const { token, expiresAt } = await controlPlane.admin.createToken({ ttlSeconds: 1 });
  await waitFor('the token expiring', 5000, () =>
    Date.now() > Date.parse(expiresAt) ? true : undefined,
  );
  expectOneLine(await runAgent('agent-expired', token), 2, 'token', 'expired');
});

test('a token nobody made is refused', async () => {
  expectOneLine(await runAgent('agent-unknown', 'no-such-token'), 2, 'token');
});

test('a root hash that is not the root of this CA is refused before anything is sent', async () => {
  const { token } = await controlPlane.admin.createToken({ ttlSeconds: 60 });
  const config = writeConfig(directory, 'agent-pin', {
    trustDomain: 'mesh.test',
    ca: { address: (await controlPlane.admin.status()).agentAddress, rootSha256: '00'.repeat(32) },
    socket: join(directory, 'agent-pin.sock'),
    join: { token },
  });
  expectOneLine(await runSignet(['agent', 'run', '--config', config]), 2, 'root');
});

test('a wrong socket path is told, with the remedy', async () => {
  const missing = join(directory, 'nobody.sock');
  expectOneLine(await runSignet(['status', '--socket', missing]), 2, missing, 'signet ca run');
});

test('a socket path over the bound of the system is told with both numbers', async () => {
  const long = `/tmp/${'x'.repeat(120)}`;
  expectOneLine(await runSignet(['status', '--socket', long]), 2, '125 bytes', '107');
  const config = caConfig('long-socket', { adminSocket: long });
  const result = await runSignet(['ca', 'run', '--config', config]);
  expectOneLine(result, 2, 'adminSocket', '107');
  expect(existsSync(join(directory, 'long-socket-data'))).toBe(false);
});

test('a port in use is named', async () => {
  const server = createServer();
  const [port = 0] = await freePorts(1);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const config = caConfig('port', { listen: `127.0.0.1:${port}` });
  expectOneLine(
    await runSignet(['ca', 'run', '--config', config]),
    2,
    `127.0.0.1:${port}`,
    'in use',
  );
  expect(existsSync(join(directory, 'port-data'))).toBe(false);
  await new Promise((resolve) => server.close(resolve));
});

test('a store that another CA has open is named', async () => {
  const config = caConfig('locked', {
    data: join(directory, 'ca'),
    adminSocket: join(directory, 'locked.sock'),
    keyEncryptionKey: { file: join(directory, 'config', 'kek') },
  });
  expectOneLine(await runSignet(['ca', 'run', '--config', config]), 2, join(directory, 'ca'));
});

test('a wrong key-encryption key is told, and harms nothing', async () => {
  const config = caConfig('sealed', { adminSocket: join(directory, 'sealed.sock') });
  const keyFile = join(directory, 'config', 'sealed-kek');
  const run = async (): Promise<Child> => {
    const child = startChild({
      name: 'sealed',
      directory,
      script: signetScript,
      args: ['ca', 'run', '--config', config],
    });
    await waitFor('the CA answering', 20_000, async () => {
      const { code } = await runSignet(['status', '--socket', join(directory, 'sealed.sock')]);
      return code === 0 || child.ended() !== undefined ? true : undefined;
    });
    expect(child.ended()).toBeUndefined();
    return child;
  };
  await (await run()).stop('SIGTERM');
  const right = await import('node:fs/promises').then((fs) => fs.readFile(keyFile));

  writeFileSync(keyFile, randomBytes(32).toString('base64'));
  expectOneLine(
    await runSignet(['ca', 'run', '--config', config]),
    2,
    `the key-encryption key of ${keyFile} is not the one that ${join(directory, 'sealed-data')}`,
    'give the key that was used',
  );
  writeFileSync(keyFile, 'not a key');
  expectOneLine(await runSignet(['ca', 'run', '--config', config]), 2, keyFile);

  writeFileSync(keyFile, right);
  await (await run()).stop('SIGTERM');
});

test('a lifetime that another cannot cover is refused with the arithmetic', async () => {
  const config = caConfig('lifetimes', {
    lifetimes: { issuing: '1h', x509Svid: '2h' },
    jwt: { ttlMax: '1h' },
  });
  const result = await runSignet(['ca', 'run', '--config', config]);
  expect(result.code).toBe(2);
  expect(result.stderr).toContain('x509Svid');
  expect(result.stderr).toMatch(/jwt\.ttlMax 1h does not fit under a JWT key.*1h \/ 2 = 30m left/);
  expect(
    existsSync(join(directory, 'lifetimes-data')) &&
      readdirSync(join(directory, 'lifetimes-data')).length > 0,
  ).toBe(false);
});

test('a proxy without an agent serves nobody and says what it waits for', async () => {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const config = writeConfig(directory, 'lonely', {
    node: { id: 'lonely', cluster: 'lonely' },
    sds: { socket: join(directory, 'no-agent.sock') },
    admin: `127.0.0.1:${adminPort}`,
    listeners: [
      {
        name: 'inbound',
        address: `127.0.0.1:${port}`,
        tls: { allow: ['spiffe://mesh.test/*'] },
        protocol: 'http1',
        routes: [{ prefix: '/', cluster: 'app' }],
      },
    ],
    clusters: [{ name: 'app', endpoints: ['127.0.0.1:1'] }],
  });
  const child = startChild({
    name: 'lonely',
    directory,
    script: signetScript,
    args: ['proxy', 'run', '--config', config],
  });
  const ready = await waitFor('the admin port answering', 20_000, async () =>
    fetch(`http://127.0.0.1:${adminPort}/readyz`),
  );
  expect(ready.status).toBe(503);
  expect(await ready.text()).toMatch(/default|secret|certificate/);
  expect((await fetch(`http://127.0.0.1:${adminPort}/livez`)).status).toBe(200);
  await child.stop('SIGTERM');
  expect(child.ended()).toBe('exit code 0');
});

test('wrong usage ends with 2 and points to the help', async () => {
  const unknown = await runSignet(['authrity', 'list']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('authority');
  expect((await runSignet(['entry', 'create'])).code).toBe(2);
  expect((await runSignet(['--help'])).code).toBe(0);
});
