import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatBundle } from '../spiffe/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { bootstrapRoots, pickPinnedRoot } from './bootstrap-trust.ts';

const nowMs = Date.UTC(2026, 0, 1);
const clock = new ManualClock(nowMs);
const pki = await makeTestPki({ nowMs });
const impostor = await makeTestPki({ nowMs: nowMs + 1 });
const ca = await pki.issueLeaf({ id: '/signet/ca' });
const web = await pki.issueLeaf({ id: '/web' });
const fake = await impostor.issueLeaf({ id: '/signet/ca' });
const pin = hash('sha256', pki.root.der, 'hex');
const pick = (chain: readonly Uint8Array[], more: { atMs?: number; sha256?: string } = {}) =>
  pickPinnedRoot({
    chain,
    sha256: pin,
    trustDomain: pki.trustDomain,
    atMs: nowMs,
    name: 'CA at x',
    ...more,
  });

test('the root with the pinned hash is taken from the chain of the CA', () => {
  expect(pick([...ca.chainDer, pki.root.der]).der).toEqual(pki.root.der);
});

test.for([
  ['a chain without its root', ca.chainDer, {}, 'no root with SHA-256'],
  ['no chain', [], {}, 'no root with SHA-256'],
  [
    'an intermediate that is pinned',
    ca.chainDer,
    { sha256: hash('sha256', pki.issuing.der, 'hex') },
    'is not a root',
  ],
  [
    'a leaf of another CA beside the pinned root',
    [...fake.chainDer, pki.root.der],
    {},
    'does not verify',
  ],
  ['a workload of the mesh', [...web.chainDer, pki.root.der], {}, 'it is spiffe://mesh.test/web'],
  ['the root alone', [pki.root.der], {}, 'does not verify'],
  [
    'a clock that is years off',
    [...ca.chainDer, pki.root.der],
    { atMs: nowMs + 1e12 },
    'does not verify',
  ],
  ['bytes that are no certificate', [Uint8Array.of(1), pki.root.der], {}, 'cannot be read'],
] as const)('%s is not the CA', ([, chain, more, reason]) => {
  expect(() => pick([...chain], more)).toThrow(reason);
});

test('a bundle file may be PEM or a SPIFFE bundle; anything else is named', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bundle-'));
  const path = join(directory, 'bundle');
  const roots = (text: string) => {
    writeFileSync(path, text);
    const target = {
      address: { host: '127.0.0.1', port: 1 },
      trust: { kind: 'bundle_file', path } as const,
      trustDomain: pki.trustDomain,
    };
    return bootstrapRoots(target, clock, new AbortController().signal);
  };
  try {
    expect((await roots(pki.root.pem)).length).toBe(1);
    expect((await roots(formatBundle(pki.bundle))).length).toBe(1);
    for (const bad of ['', '{}', 'hello', '{"keys":[]}']) {
      await expect(roots(bad)).rejects.toMatchObject({
        code: 'bootstrap_bundle',
        kind: 'failed_precondition',
      });
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a server that says nothing is given up, and is worth a retry', async () => {
  const server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const connected = new Promise((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  const target = {
    address: { host: '127.0.0.1', port },
    trust: { kind: 'root_sha256', sha256: pin } as const,
    trustDomain: pki.trustDomain,
  };
  const silent = bootstrapRoots(target, clock, new AbortController().signal);
  const outcome = expect(silent).rejects.toMatchObject({
    code: 'ca_unreachable',
    kind: 'unavailable',
  });
  await connected;
  await clock.advance(10_001);
  await outcome;

  const stopped = new AbortController();
  const given = bootstrapRoots(target, clock, stopped.signal);
  stopped.abort();
  await expect(given).rejects.toMatchObject({ code: 'ca_unreachable' });
  await new Promise((resolve) => server.close(resolve));
});
