import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Secret } from '../../api/index.ts';
import { Scope, seededRandom, silentLogger, systemClock } from '../../core/index.ts';
import {
  certificateSecret,
  type FakeSds,
  rootSecret,
  startFakeSds,
  validationSecret,
} from '../../test/fakes/fake-sds.ts';
import { until } from '../../test/fakes/proxy-mesh.ts';
import { makeTestPki, type TestPki } from '../../test/fakes/test-pki.ts';
import { type SdsClient, startSdsClient } from './sds-client.ts';

const nowMs = Date.now();
let pki: TestPki;
let other: TestPki;
let scope: Scope;
let path: string;
let sds: FakeSds;
let client: SdsClient;

beforeAll(async () => {
  pki = await makeTestPki({ nowMs });
  other = await makeTestPki({ nowMs, trustDomain: 'other.test' });
});
beforeEach(async () => {
  scope = new Scope();
  const directory = mkdtempSync(join(tmpdir(), 'signet-'));
  scope.onClose(() => rmSync(directory, { recursive: true }));
  path = join(directory, 'sds.sock');
  sds = await startFakeSds(path);
  scope.onClose(() => sds.close());
  client = startClient('ALL');
});
afterEach(() => scope.close());

function startClient(validation: string): SdsClient {
  return scope.add(
    startSdsClient(
      {
        socket: path,
        certificate: 'default',
        validation,
        node: { id: 'test', cluster: '' },
        minVersion: '1.3',
      },
      { clock: systemClock, random: seededRandom(7), log: silentLogger },
    ),
  );
}

async function leafSecret(id = '/web', from = pki): Promise<Secret> {
  return certificateSecret(await from.issueLeaf({ id }));
}

function trust(): Secret {
  return validationSecret({ 'mesh.test': pki.anchorsPem, 'other.test': other.anchorsPem });
}

async function makeReady(): Promise<void> {
  sds.set(await leafSecret());
  sds.set(trust());
  await until(() => client.material.current() !== undefined);
}

const answersTo = (name: string, kind: string): number =>
  sds.answers.filter((answer) => answer.name === name && answer.kind === kind).length;

describe('a good secret', () => {
  test('is in use before it is acknowledged', async () => {
    await makeReady();
    await until(() => answersTo('default', 'ack') === 1 && answersTo('ALL', 'ack') === 1);
    const material = client.material.current();
    expect(material?.identity.id).toBe('spiffe://mesh.test/web');
    expect([...(material?.trust.bundles.keys() ?? [])]).toEqual(['mesh.test', 'other.test']);
    expect(client.secrets()).toMatchObject([
      { name: 'default', accepted: 1, refused: 0, isConnected: true },
      { name: 'ALL', accepted: 1, refused: 0, isConnected: true },
    ]);
  });

  test('replaces the one before it, and each swap is a new generation', async () => {
    await makeReady();
    const first = client.material.current();
    sds.set(await leafSecret());
    await until(() => client.material.current() !== first);
    const second = client.material.current();
    expect(second?.identity.chain[0]?.serial).not.toBe(first?.identity.chain[0]?.serial);
    expect(second?.identity.context).not.toBe(first?.identity.context);
    expect(second?.generation).toBeGreaterThan(first?.generation ?? 0);
    expect(second?.trust).toBe(first?.trust);
  });

  test('that comes before its bundle waits for it, and is acknowledged then', async () => {
    sds.set(await leafSecret());
    await sds.waitFor((answer) => answer.name === 'default');
    expect(answersTo('default', 'ack') + answersTo('default', 'nack')).toBe(0);
    sds.set(trust());
    await sds.waitFor((answer) => answer.name === 'default' && answer.kind === 'ack');
    expect(client.material.current()).toBeDefined();
  });

  test('under a new root that comes before its bundle is refused, and taken up with the bundle', async () => {
    await makeReady();
    const before = client.material.current();
    const next = await makeTestPki({ nowMs });
    sds.set(await leafSecret('/web', next));
    const refusal = await sds.waitFor((answer) => answer.kind === 'nack');
    expect(refusal.error).toContain('does not lead to our own bundle');
    expect(client.material.current()).toBe(before);
    sds.set(validationSecret({ 'mesh.test': pki.anchorsPem + next.anchorsPem }));
    await until(() => answersTo('default', 'ack') === 2);
    expect(client.material.current()?.identity.chain.at(-1)?.serial).toBe(
      next.issuing.certificate.serial,
    );
  });

  test.for([
    ['ROOTCA', () => rootSecret(pki.anchorsPem, 'ROOTCA')],
    ['spiffe://mesh.test', () => rootSecret(pki.anchorsPem, 'spiffe://mesh.test')],
  ] as const)(
    'of plain roots named %s vouches for our own trust domain alone',
    async ([name, make]) => {
      const roots = startClient(name);
      sds.set(await leafSecret());
      sds.set(make());
      await until(() => roots.material.current() !== undefined);
      expect([...(roots.material.current()?.trust.bundles.keys() ?? [])]).toEqual(['mesh.test']);
    },
  );

  test('that drops the root we stand on is taken all the same: it may have been withdrawn', async () => {
    await makeReady();
    const next = await makeTestPki({ nowMs });
    sds.set(validationSecret({ 'mesh.test': next.anchorsPem }));
    await until(() => answersTo('ALL', 'ack') === 2);
    const bundle = client.material.current()?.trust.bundles.get(pki.trustDomain);
    expect(bundle?.x509Authorities[0]?.serial).toBe(next.root.certificate.serial);
  });
});

describe('a bad secret is refused with its reason and the last good one stays', () => {
  test.for([
    [
      'no PEM',
      'is no X509-SVID',
      async () => certificateSecret({ ...(await pki.issueLeaf({ id: '/web' })), chainPem: 'x' }),
    ],
    [
      'a key that cannot be read',
      'cannot be read',
      async () => certificateSecret({ ...(await pki.issueLeaf({ id: '/web' })), keyPem: 'x' }),
    ],
    [
      'the key of another certificate',
      'does not match',
      async () => {
        const { keyPem } = await pki.issueLeaf({ id: '/web' });
        return certificateSecret({ ...(await pki.issueLeaf({ id: '/web' })), keyPem });
      },
    ],
    [
      'an expired certificate',
      'expired at',
      async () => certificateSecret(await pki.issueLeaf({ id: '/web', notAfterMs: nowMs - 1000 })),
    ],
    [
      'a chain to another root',
      'does not lead to our own bundle',
      async () => leafSecret('/web', await makeTestPki({ nowMs })),
    ],
    [
      'a certificate that is no SVID',
      'is no X509-SVID',
      async () =>
        certificateSecret({ ...(await pki.issueLeaf({ id: '/web' })), chainPem: pki.issuing.pem }),
    ],
    [
      'a bundle where a certificate is due',
      'holds no TLS certificate',
      async () => rootSecret(pki.anchorsPem, 'default'),
    ],
    [
      'a key by file name',
      'is a file name',
      async (): Promise<Secret> => {
        const { chainPem } = await pki.issueLeaf({ id: '/web' });
        const certificateChain = { specifier: { $case: 'inlineString' as const, value: chainPem } };
        const privateKey = { specifier: { $case: 'filename' as const, value: '/etc/key' } };
        return {
          name: 'default',
          type: { $case: 'tlsCertificate', value: { certificateChain, privateKey } },
        };
      },
    ],
  ] as const)('certificate: %s', async ([, reason, make]) => {
    await makeReady();
    const before = client.material.current();
    sds.set(await make());
    const refusal = await sds.waitFor((answer) => answer.kind === 'nack');
    expect(refusal).toMatchObject({ name: 'default', version: before?.identity.version });
    expect(refusal.error).toContain(reason);
    expect(client.material.current()).toBe(before);
    // And a good one heals it.
    sds.set(await leafSecret());
    await until(() => client.material.current() !== before);
  });

  test.for([
    ['an empty bundle', 'is empty', () => validationSecret({ 'mesh.test': '' })],
    ['no bundle at all', 'has no bundle', () => validationSecret({})],
    ['no PEM', 'cannot be read', () => validationSecret({ 'mesh.test': 'garbage' })],
    [
      'no bundle of our own trust domain',
      'no bundle of our own trust domain',
      () => validationSecret({ 'other.test': other.anchorsPem }),
    ],
    [
      'a name that is no trust domain',
      'is no trust domain',
      () => validationSecret({ 'Mesh.Test': pki.anchorsPem }),
    ],
    [
      'a validator we do not know',
      'names a validator we do not know',
      (): Secret => ({
        name: 'ALL',
        type: {
          $case: 'validationContext',
          value: {
            trustedCa: undefined,
            crl: undefined,
            onlyVerifyLeafCertCrl: false,
            customValidatorConfig: {
              name: 'x',
              typedConfig: { typeUrl: 'type.googleapis.com/x', value: Buffer.alloc(0) },
            },
          },
        },
      }),
    ],
  ] as const)('bundles: %s', async ([, reason, make]) => {
    await makeReady();
    const before = client.material.current();
    sds.set(make());
    const refusal = await sds.waitFor((answer) => answer.kind === 'nack');
    expect(refusal).toMatchObject({ name: 'ALL', version: before?.trust.version });
    expect(refusal.error).toContain(reason);
    expect(client.material.current()).toBe(before);
  });

  test('no refusal holds a byte of a key', async () => {
    const leaf = await pki.issueLeaf({ id: '/web' });
    await makeReady();
    sds.set(certificateSecret({ ...leaf, keyPem: leaf.keyPem.replace('END', 'XND') }));
    const { error } = await sds.waitFor((answer) => answer.kind === 'nack');
    const keyText = leaf.keyPem.split('\n')[1] ?? '';
    expect(error).not.toContain(keyText.slice(0, 12));
  });
});

describe('a break', () => {
  test('is mended by asking again, with what is in use, and rotation goes on', async () => {
    await makeReady();
    await until(() => answersTo('default', 'ack') === 1);
    const before = client.material.current();
    await sds.close();
    await until(() => client.secrets().every((secret) => !secret.isConnected));
    // What is loaded goes on serving meanwhile.
    expect(client.material.current()).toBe(before);
    sds = await startFakeSds(path);
    await until(() => sds.answers.filter(({ kind }) => kind === 'subscribe').length >= 2);
    expect(sds.answers.find(({ name }) => name === 'default')?.version).toBe(
      before?.identity.version,
    );
    sds.set(await leafSecret());
    await until(() => client.material.current() !== before);
  });

  test('does not swap what comes again unchanged', async () => {
    const secrets = new Map<string, Secret>();
    await sds.close();
    sds = await startFakeSds(path, secrets);
    const secret = await leafSecret();
    sds.set(secret);
    sds.set(trust());
    await until(() => client.material.current() !== undefined);
    const identity = client.material.current()?.identity;
    await sds.close();
    sds = await startFakeSds(path, secrets);
    await until(() => answersTo('default', 'ack') === 1 && answersTo('ALL', 'ack') === 1);
    expect(client.material.current()?.identity).toBe(identity);
  });

  test('of a server that is not there yet ends when it comes', async () => {
    await client.close();
    await sds.close();
    client = startClient('ALL');
    await until(() => (client.secrets()[0]?.streams ?? 0) >= 2);
    sds = await startFakeSds(path);
    await makeReady();
    expect(client.material.current()).toBeDefined();
  });
});
