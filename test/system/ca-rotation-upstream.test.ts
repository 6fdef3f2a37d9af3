import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminClient, adminClient } from '../../api/index.ts';
import type { RunningCa } from '../../ca/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { joinNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';

let mesh: CaFixture;
let ca: RunningCa;
let admin: AdminClient;

beforeEach(async () => {
  mesh = await CaFixture.begin();
  await mesh.stop();
});
afterEach(async () => {
  await ca.close();
  await mesh.end();
});

const program = 'openssl';

function openssl(...args: string[]): string {
  return execFileSync(program, args, { cwd: mesh.directory, stdio: 'pipe' }).toString();
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
const extensions = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n';

/** `root.pem`, and `chain.pem` with `mid.key` below it. */
function makeUpstream(): void {
  writeFileSync(join(mesh.directory, 'ext'), `${extensions}subjectKeyIdentifier=hash\n`);
  openssl(
    'req',
    '-x509',
    ...ec,
    '-keyout',
    'root.key',
    '-out',
    'root.pem',
    '-days',
    '9',
    '-subj',
    '/CN=Operator root',
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  );
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
