import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test as anyTest } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import type { RunningCa } from '../../ca/index.ts';
import { type Child, startChild } from '../../cli/demo/child.ts';
import { signetScript, writeConfig } from '../../cli/demo/control-plane.ts';
import { systemClock } from '../../core/index.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { parseBundle, verifyX509Svid } from '../../spiffe/index.ts';
import { joinNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';
import { lacks } from '../programs.ts';
import { runSignet } from './signet-command.ts';

let mesh: CaFixture;
let ca: RunningCa | undefined;
let child: Child | undefined;
let admin: AdminClient;

beforeEach(async () => {
  [ca, child] = [undefined, undefined];
  mesh = await CaFixture.begin();
  await mesh.stop();
});
afterEach(async () => {
  await ca?.close();
  await child?.stop('SIGKILL');
  await mesh.end();
});

const test = anyTest.skipIf(lacks('openssl'));
const program = 'openssl';

function openssl(...args: string[]): string {
  return execFileSync(program, args, { cwd: mesh.directory, stdio: 'pipe' }).toString();
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
const extensions = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n';

/** Another root, by its name. */
function makeRoot(name: string): void {
  openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
    '-days',
    '9',
    '-subj',
    `/CN=${name}`,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  );
}

/** `root.pem`, and `chain.pem` with `mid.key` below it. */
function makeUpstream(): void {
  writeFileSync(join(mesh.directory, 'ext'), `${extensions}subjectKeyIdentifier=hash\n`);
  makeRoot('root');
  openssl('req', ...ec, '-keyout', 'mid.key', '-out', 'mid.csr', '-subj', '/CN=Mesh');
  openssl(
    'x509',
    '-req',
    '-in',
    'mid.csr',
    '-CA',
    'root.pem',
    '-CAkey',
    'root.key',
    '-days',
    '8',
    '-extfile',
    'ext',
    '-out',
    'mid.pem',
  );
  const chain = openssl('x509', '-in', 'mid.pem') + openssl('x509', '-in', 'root.pem');
  writeFileSync(join(mesh.directory, 'chain.pem'), chain);
}

test('the operator’s root comes in by evidence, signs through its intermediate, and is not ours to rotate', async () => {
  makeUpstream();
  const at = (name: string): string => join(mesh.directory, name);
  ca = await mesh.start({ upstream: { certificate: at('chain.pem'), key: at('mid.key') } });
  admin = adminClient(ca.adminSocket);
  // The store began with a root of its own: the upstream waits until everybody has it, and then signs.
  await expect
    .poll(async () => {
      const { authorities } = await admin.listAuthorities();
      return authorities.filter(({ tier }) => tier === 'root').map(({ state }) => state);
    })
    .toEqual(['draining', 'active']);
  await expect(admin.prepareAuthority()).rejects.toMatchObject({
    code: 'authority_upstream',
    message: expect.stringContaining("operator's own"),
  });

  const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
  const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  const { token } = await admin.createToken({ ttlSeconds: 60 });
  const node = await joinNode({ port: ca.agentPort, roots }, token);
  const entry = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/web',
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
  });
  const chain = await signed(node, entry.id);
  expect(chain).toHaveLength(3);
  const [leaf = new Uint8Array(), ...above] = chain;
  writeFileSync(at('leaf.pem'), pemEncode('CERTIFICATE', leaf));
  writeFileSync(at('above.pem'), above.map((der) => pemEncode('CERTIFICATE', der)).join(''));
  expect(
    openssl('verify', '-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'above.pem', 'leaf.pem'),
  ).toContain('leaf.pem: OK');
  node.close();
});

/** A node joins, and what is signed for it stands under the bundle. Resolves to how long the chain is. */
async function chainLength(running: Pick<RunningCa, 'agentPort'>): Promise<number> {
  const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
  const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  const { token } = await admin.createToken({ ttlSeconds: 60 });
  const node = await joinNode({ port: running.agentPort, roots }, token);
  try {
    const entry = await admin.createEntry({
      spiffeId: 'spiffe://mesh.test/web',
      parentId: node.spiffeId,
      selectors: ['unix:uid:1000'],
    });
    const chain = await signed(node, entry.id);
    const verdict = verifyX509Svid({
      chain: chain.map((der) => parseCertificate(der)),
      bundles: new Map([[trustDomain, parseBundle(await admin.bundle(), trustDomain)]]),
      atMs: systemClock.wallMs(),
      purpose: 'serverAuth',
    });
    expect(verdict).toMatchObject({ kind: 'valid' });
    return chain.length;
  } finally {
    node.close();
    // Nobody waits for it, at the next change of the root.
    await admin.evictNode(node.spiffeId, { reason: 'done' });
  }
}

async function activeSubject(): Promise<string> {
  const { authorities } = await admin.listAuthorities();
  const active = authorities.find(({ tier, state }) => tier === 'root' && state === 'active');
  const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
  const root = x509Authorities.find(({ serial }) => serial === active?.serial);
  if (root === undefined) return '';
  return openssl('x509', '-noout', '-subject', '-in', writePem('active.pem', root.der));
}

function writePem(name: string, der: Uint8Array): string {
  writeFileSync(join(mesh.directory, name), pemEncode('CERTIFICATE', der));
  return name;
}

test('one upstream is replaced by another, and then by a root of our own, each by evidence', async () => {
  const at = (name: string): string => join(mesh.directory, name);
  makeUpstream();
  makeRoot('second');
  for (const [upstream, subject, length] of [
    [{ certificate: at('chain.pem'), key: at('mid.key') }, /CN\s*=\s*root/, 3],
    [{ certificate: at('second.pem'), key: at('second.key') }, /CN\s*=\s*second/, 2],
    [undefined, /CN\s*=\s*Signet root/, 2],
  ] as const) {
    await ca?.close();
    ca = await mesh.start(upstream === undefined ? {} : { upstream });
    admin = adminClient(ca.adminSocket);
    await expect.poll(activeSubject, { timeout: 20_000 }).toMatch(subject);
    expect(await chainLength(ca)).toBe(length);
    // Nodes of before are served meanwhile: what signed their certificates is still in the bundle.
    const { x509Authorities } = parseBundle(await admin.bundle(), trustDomain);
    expect(x509Authorities.length).toBeGreaterThan(1);
    await admin
      .listEntries({})
      .then(({ entries }) => Promise.all(entries.map(({ id }) => admin.deleteEntry(id))));
  }
});

test('a CA process starts under the root of a PKCS#12 file, and not with a wrong password', async () => {
  makeRoot('boxed');
  openssl(
    'pkcs12',
    '-export',
    '-inkey',
    'boxed.key',
    '-in',
    'boxed.pem',
    '-out',
    'boxed.p12',
    '-passout',
    'pass:secret',
  );
  const directory = mesh.directory;
  const at = (name: string): string => join(directory, name);
  for (const name of ['config', 'logs', 'tmp']) mkdirSync(at(name));
  writeFileSync(at('config/kek'), randomBytes(32).toString('hex'));
  writeFileSync(at('password'), 'secret\n');
  writeFileSync(at('wrong'), 'guess\n');
  const configOf = (passwordFile: string): string =>
    writeConfig(directory, 'boxed', {
      trustDomain,
      data: at('boxed'),
      listen: '127.0.0.1:0',
      adminSocket: at('boxed.sock'),
      keyEncryptionKey: { file: at('config/kek') },
      upstream: { pkcs12: at('boxed.p12'), passwordFile: at(passwordFile) },
    });
  const refused = await runSignet(['ca', 'run', '--config', configOf('wrong')]);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('password is wrong') });
  expect(refused.stderr).not.toContain('guess');
  admin = adminClient(at('boxed.sock'));
  const args = ['ca', 'run', '--config', configOf('password')];
  child = startChild({ name: 'ca', directory, script: signetScript, args });
  await expect
    .poll(() => admin.status().then(activeSubject, String), { timeout: 30_000 })
    .toMatch(/CN\s*=\s*boxed/);
  const { agentAddress } = await admin.status();
  const agentPort = Number(agentAddress.split(':').at(-1));
  expect(await chainLength({ agentPort })).toBe(2);
  await child.stop('SIGTERM');
  expect(child.ended()).toBe('exit code 0');
});
