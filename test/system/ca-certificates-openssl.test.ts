/** Every kind of certificate that a real CA makes, judged by OpenSSL under its strictest rules, for both purposes. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test as anyTest } from 'vitest';
import { generateKeyPair, type KeyKind, pemEncode } from '../../pki/index.ts';
import { peerChainOf } from '../../rpc/index.ts';
import { lacks } from '../programs.ts';
import { csrOf, type TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';

const test = anyTest.skipIf(lacks('openssl'));
const purposes = ['sslserver', 'sslclient'] as const;

let mesh: CaFixture;
let node: TestNode;
let roots: string;

beforeAll(async () => {
  mesh = await CaFixture.begin();
  node = await mesh.join();
  roots = file(
    'roots',
    (await mesh.bundle()).x509Authorities.map(({ der }) => der),
  );
});
afterAll(async () => {
  node.close();
  await mesh.end();
});

test.for(purposes)('a node’s SVID passes for %s', (purpose) => {
  expectStrict(purpose, 'node', node.attested.chain);
});

test.for(purposes)('the certificate that the CA shows to agents passes for %s', async (purpose) => {
  expectStrict(purpose, 'server', await shownBy(mesh.ca.agentPort));
});

const keyKinds: readonly KeyKind[] = ['ec-p256', 'ec-p384', 'rsa-2048'];
const workloads = keyKinds.flatMap((kind) => purposes.map((purpose) => [kind, purpose] as const));

test.for(workloads)('a workload’s SVID with a key of %s passes for %s', async ([kind, purpose]) => {
  const entryId = await entryOf(kind, purpose);
  const { items } = await node.sign(entryId, await csrOf(generateKeyPair(kind).privateKey));
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  expectStrict(purpose, `${kind}-${purpose}`, outcome.value.certificates);
});

test('the authorities pass, and under the root of another CA none of it does', async () => {
  const [, issuing = new Uint8Array()] = node.attested.chain;
  expect(openssl(['-CAfile', roots, roots])).toEqual({ status: 0, text: `${roots}: OK` });
  const path = file('issuing', [issuing]);
  expect(openssl(['-CAfile', roots, path])).toEqual({ status: 0, text: `${path}: OK` });

  const other = await CaFixture.begin();
  const strange = file(
    'strange',
    (await other.bundle()).x509Authorities.map(({ der }) => der),
  );
  expect(openssl(['-CAfile', strange, path]).status).not.toBe(0);
  await other.end();
});

function expectStrict(purpose: string, name: string, chain: readonly Uint8Array[]): void {
  const [leaf = new Uint8Array(), ...above] = chain;
  expect(above.length).toBeGreaterThan(0);
  const path = file(name, [leaf]);
  const untrusted = file(`${name}-above`, above);
  const args = ['-purpose', purpose, '-CAfile', roots, '-untrusted', untrusted, path];
  expect(openssl(args)).toEqual({ status: 0, text: `${path}: OK` });
}

function openssl(args: readonly string[]): {
  readonly status: number | null;
  readonly text: string;
} {
  const strict = ['verify', '-x509_strict', '-check_ss_sig', ...args];
  const { status, stdout, stderr } = spawnSync('openssl', strict, { encoding: 'utf8' });
  return { status, text: (stdout + stderr).trim() };
}

function file(name: string, certificates: readonly Uint8Array[]): string {
  const path = join(mesh.directory, `${name}.pem`);
  writeFileSync(path, certificates.map((der) => pemEncode('CERTIFICATE', der)).join(''));
  return path;
}

async function entryOf(kind: string, purpose: string): Promise<string> {
  const entry = await mesh.admin.createEntry({
    spiffeId: `spiffe://mesh.test/${kind}/${purpose}`,
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
    dnsNames: ['web', 'web.mesh.test'],
  });
  return entry.id;
}

/** The chain of a TLS server, without the root. */
function shownBy(port: number): Promise<readonly Uint8Array[]> {
  return new Promise((resolve, reject) => {
    // What it shows is judged by openssl afterwards.
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(peerChainOf(socket));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
