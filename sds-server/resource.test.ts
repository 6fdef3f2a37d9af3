import { createPrivateKey, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DataSource,
  DeltaDiscoveryResponse,
  DiscoveryResponse,
  Secret,
  secretTypeUrl,
  SPIFFECertValidatorConfig,
} from '../api/index.ts';
import { generateKeyPair, issueCrl, keyIdOf, type KeyKind, parsePem } from '../pki/index.ts';
import { toHex } from '../core/index.ts';
import { bundleSetOf } from '../spiffe/index.ts';
import { certificateOf, rootsOf } from '../test/fakes/sds-client.ts';
import { makeTestPki } from '../test/fakes/test-pki.ts';
import { delta } from './delta-secrets.ts';
import { privateKeyPemBytes } from './key-pem.ts';
import { createResourceEncoder, versionOfAll, versionOfSecrets } from './resource.ts';
import { stateOfTheWorld } from './stream-secrets.ts';

const nowMs = Date.UTC(2026, 0, 1);
const pki = await makeTestPki({ nowMs });
const other = await makeTestPki({ nowMs: nowMs + 1, trustDomain: 'another.test' });
const web = await pki.issueLeaf({ id: '/web' });

test.for(['ec-p256', 'ec-p384', 'rsa-2048'] as KeyKind[])(
  'the PEM of a key of kind %s is what OpenSSL writes',
  (kind) => {
    const { privateKey } = generateKeyPair(kind);
    const expected = privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(privateKeyPemBytes(privateKey).toString('latin1')).toBe(expected);
  },
);

test('[K1] a certificate secret holds the chain, leaf first, and the key that fits it', () => {
  const resource = createResourceEncoder()({ kind: 'svid', svid: web }, 'default');
  expect(resource.encoded.typeUrl).toBe(secretTypeUrl);
  const secret = Secret.decode(resource.encoded.value);
  expect(secret.name).toBe('default');
  const { chain, key } = certificateOf(secret);
  expect(chain).toBe(web.chainPem);
  expect(new X509Certificate(chain).checkPrivateKey(createPrivateKey(key))).toBe(true);
});

test('[K2] [K4] roots go as PEM under one name and by trust domain, sorted, under ALL', () => {
  const encode = createResourceEncoder();
  const one = encode({ kind: 'bundle', bundle: pki.bundle }, 'ROOTCA');
  const roots = rootsOf(Secret.decode(one.encoded.value)).get('');
  expect(roots?.map((root) => root.raw)).toEqual([Buffer.from(pki.root.der)]);
  expect(one.summary.rootKeyIds).toEqual([toHex(keyIdOf(pki.root.signer.publicKey))]);

  const empty = { ...other.bundle, trustDomain: 'zero.test' as never, x509Authorities: [] };
  const all = (bundles: Parameters<typeof bundleSetOf>[0]) =>
    encode({ kind: 'all_bundles', bundles: bundleSetOf(bundles) }, 'ALL');
  const both = all([pki.bundle, empty, other.bundle]);
  expect([...rootsOf(Secret.decode(both.encoded.value)).keys()]).toEqual([
    'another.test',
    'mesh.test',
  ]);
  // The order in which bundles came to be known is no change.
  expect(all([other.bundle, pki.bundle]).summary.version).toBe(both.summary.version);
  expect(all([pki.bundle]).summary.version).not.toBe(both.summary.version);
});

test('a secret is encoded once per value and name, and again when it is renewed', async () => {
  const encode = createResourceEncoder();
  const first = encode({ kind: 'svid', svid: web }, 'default');
  expect(encode({ kind: 'svid', svid: web }, 'default')).toBe(first);
  const byId = encode({ kind: 'svid', svid: web }, web.id);
  expect(byId).not.toBe(first);
  expect(byId.summary.version).toBe(first.summary.version);
  const renewed = await pki.issueLeaf({ id: '/web' });
  expect(encode({ kind: 'svid', svid: renewed }, 'default').summary.version).not.toBe(
    first.summary.version,
  );
});

test('both protocols send the one encoding of a secret, whatever stream asks for it', () => {
  const encode = createResourceEncoder();
  const resource = encode({ kind: 'svid', svid: web }, 'default');
  const removed = ['gone'];
  const send = { kind: 'send', version: '1', names: ['default'], removed, nonce: 'one-1' } as const;
  const sent = { typeUrl: secretTypeUrl, nonce: 'one-1', controlPlane: { identifier: 'signet' } };
  const { encoded, field, name, summary } = resource;
  const whole = stateOfTheWorld.response(send, [resource, resource]);
  expect(DiscoveryResponse.decode(whole)).toEqual({
    ...sent,
    versionInfo: '1',
    resources: [encoded, encoded],
  });
  const changes = delta.response(send, [resource]);
  expect(DeltaDiscoveryResponse.decode(changes)).toEqual({
    ...sent,
    systemVersionInfo: '1',
    resources: [{ name, version: summary.version, resource: encoded }],
    removedResources: removed,
  });
  for (const bytes of [whole, changes]) expect(bytes.includes(field)).toBe(true);
  expect(encoded.value.buffer).toBe(field.buffer);
});

test('a message of delta keeps its shape at every size of its secrets', () => {
  const lengths = [0, 1, 100, 127, 128, 16_000, 16_383, 16_384, 300_000];
  const encode = createResourceEncoder();
  const send = { kind: 'send', version: '1', names: ['n'], removed: [], nonce: 'n' } as const;
  for (const length of lengths) {
    const values = new Map([['', new Uint8Array(length).fill(7)]]);
    const resource = encode({ kind: 'named', secret: { name: 'n', version: 1n, values } }, 'n');
    const [sent] = DeltaDiscoveryResponse.decode(delta.response(send, [resource])).resources;
    expect(sent?.resource).toEqual(resource.encoded);
  }
});

test('[K6] [K7] ticket keys and stored secrets; no version is made of what could be guessed', () => {
  const encode = createResourceEncoder();
  const keys = (fill: number) => ({ keys: [Buffer.alloc(80, fill)] });
  const tickets = (fill: number) =>
    encode({ kind: 'ticket_keys', ticketKeys: keys(fill) }, 'session-ticket-keys');
  expect(Secret.decode(tickets(1).encoded.value).type).toMatchObject({
    $case: 'sessionTicketKeys',
    value: { keys: [{ specifier: { value: Buffer.alloc(80, 1) } }] },
  });
  expect(tickets(2).summary.version).not.toBe(tickets(1).summary.version);
  const named = (version: bigint, value: string) => {
    const values = new Map([['', Buffer.from(value)]]);
    return encode({ kind: 'named', secret: { name: 'pin', version, values } }, 'secret:pin');
  };
  expect(named(1n, '1234').summary.version).toBe(named(1n, '4321').summary.version);
  expect(named(2n, '1234').summary.version).not.toBe(named(1n, '1234').summary.version);
  expect(Secret.decode(named(1n, '1234').encoded.value)).toMatchObject({
    name: 'secret:pin',
    type: {
      $case: 'genericSecret',
      value: { secret: { specifier: { value: Buffer.from('1234') } } },
    },
  });
});

test('[D8] versions are content hashes: equal in every process, 16 bytes in hex', () => {
  const version = (): string =>
    createResourceEncoder()({ kind: 'svid', svid: web }, 'default').summary.version;
  expect(version()).toBe(version());
  expect(version()).toMatch(/^[0-9a-f]{32}$/);
});

test("a response's version does not depend on order, and tells different contents apart", () => {
  const entry = fc.tuple(fc.string(), fc.string());
  fc.assert(
    fc.property(fc.array(entry), fc.array(entry), (left, right) => {
      const a = new Map(left);
      const b = new Map(right);
      expect(versionOfAll(new Map([...a].toReversed()))).toBe(versionOfAll(a));
      const same = a.size === b.size && [...a].every(([name, version]) => b.get(name) === version);
      expect(versionOfAll(a) === versionOfAll(b)).toBe(same);
    }),
  );
});

test('a version that is kept with its secret is still that of the response, under each name', () => {
  const { summary } = createResourceEncoder()({ kind: 'svid', svid: web }, 'default');
  for (const name of ['default', 'other', 'default', 'default']) {
    const expected = versionOfAll(new Map([[name, summary.version]]));
    expect(versionOfSecrets([[name, summary]])).toBe(expected);
  }
  const two = new Map([
    ['a', summary.version],
    ['b', summary.version],
  ]);
  expect(versionOfSecrets([...two.keys()].map((name) => [name, summary]))).toBe(versionOfAll(two));
});

describe('revocation lists', async () => {
  const issuedBy = async ({ root, issuing }: typeof pki): Promise<readonly Uint8Array[]> =>
    Promise.all(
      [issuing, root].map(({ certificate, signer }) =>
        issueCrl(
          {
            issuer: certificate.subject,
            issuerKeyId: certificate.extensions.subjectKeyId ?? new Uint8Array(),
            number: 1n,
            thisUpdateMs: nowMs,
            nextUpdateMs: certificate.notAfterMs,
            revoked: [],
          },
          signer,
        ),
      ),
    );
  const whole = await issuedBy(pki);
  // As of a root whose key we do not have.
  const ofIssuing = whole.slice(0, 1);
  const contextOf = (resource: ReturnType<ReturnType<typeof createResourceEncoder>>) => {
    const { type } = Secret.decode(resource.encoded.value);
    return type?.$case === 'validationContext' ? type.value : undefined;
  };
  const blocksOf = (source: DataSource | undefined) =>
    parsePem(
      source?.specifier?.$case === 'inlineBytes' ? source.specifier.value.toString('latin1') : '',
    );
  const listBlocks = (crls: readonly Uint8Array[]) =>
    crls.map((der) => ({ label: 'X509 CRL', der }));
  const bundle = { kind: 'bundle', bundle: pki.bundle } as const;
  const all = { kind: 'all_bundles', bundles: bundleSetOf([pki.bundle, other.bundle]) } as const;
  const trustDomainsOf = (resource: Parameters<typeof contextOf>[0]) =>
    SPIFFECertValidatorConfig.decode(
      contextOf(resource)?.customValidatorConfig?.typedConfig?.value ?? new Uint8Array(),
    ).trustDomains;

  test.for([bundle, all])('go with a $kind, and are a change of it', (found) => {
    const encode = createResourceEncoder();
    const before = encode(found, 'x');
    expect(contextOf(before)).toMatchObject({ crl: undefined, onlyVerifyLeafCertCrl: false });
    const after = encode({ ...found, crls: ofIssuing }, 'x');
    expect(after.summary.version).not.toBe(before.summary.version);
    // Envoy would want a list for the root as well, unless it is told to look at the leaf alone.
    expect(contextOf(after)).toMatchObject({ onlyVerifyLeafCertCrl: true });
    expect(blocksOf(contextOf(after)?.crl)).toEqual(listBlocks(ofIssuing));

    // Encoded once for each pair of the two.
    expect(encode({ ...found, crls: ofIssuing }, 'x')).toBe(after);
    expect(encode(found, 'x')).toBe(before);
  });

  test('[K3] of every root too are looked up for the whole chain', () => {
    const resource = createResourceEncoder()({ ...bundle, crls: whole }, 'x');
    expect(contextOf(resource)).toMatchObject({ onlyVerifyLeafCertCrl: false });
    expect(blocksOf(contextOf(resource)?.crl)).toEqual(listBlocks(whole));
  });

  test('stand among the roots of their own trust domain where a validator takes them from there', () => {
    const resource = createResourceEncoder()({ ...all, crls: whole }, 'x');
    expect(contextOf(resource)).toMatchObject({ crl: undefined });
    const blocks = new Map(
      trustDomainsOf(resource).map(({ name, trustBundle }) => [name, blocksOf(trustBundle)]),
    );
    const rootOf = ({ root }: typeof pki) => ({ label: 'CERTIFICATE', der: root.certificate.der });
    expect(blocks.get('mesh.test')).toEqual([rootOf(pki), ...listBlocks(whole)]);
    // Whose roots signed none would have every peer refused.
    expect(blocks.get('another.test')).toEqual([rootOf(other)]);
  });
});
