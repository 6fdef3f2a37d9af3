/** What every node attestor promises, asked of each: who is let in, and that nothing hostile gets past. */

import { createHash, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto';
import { test as property, fc } from '@fast-check/vitest';
import { beforeEach, describe, expect, test } from 'vitest';
import { X509PopEvidence } from '../../api/index.ts';
import { joinTokenAttestor } from '../../ca/attestation/join-token-attestor.ts';
import type {
  Attestation,
  AttestationRequest,
  NodeAttestor,
} from '../../ca/attestation/node-attestor.ts';
import { x509popAttestor } from '../../ca/attestation/x509pop-attestor.ts';
import { createRegistry } from '../../ca/registry/registry.ts';
import { seededRandom, utf8Bytes } from '../../core/index.ts';
import { createCertificateRequest, generateKeyPair, keySigner } from '../../pki/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { buildNowMs, type Built, type BuildOptions } from '../fakes/build-certificate.ts';
import { buildAuthority, buildLeaf, keyUsage, subjectAltName } from '../fakes/build-path.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { MemoryStore } from '../fakes/memory-store.ts';
import { RecordingAuditLog } from '../fakes/recording-audit-log.ts';

const trustDomain = parseTrustDomain('mesh.test');

/** A CA's attestor, and what nodes could show it. */
interface Bench {
  readonly attestor: NodeAttestor;
  readonly clock: ManualClock;
  /** Good evidence for this request, of one machine. */
  good(csr: Uint8Array): Promise<Uint8Array>;
  /** Evidence that nobody who runs this CA gave. */
  foreign(csr: Uint8Array): Promise<Uint8Array>;
  /** How long good evidence may wait. */
  readonly lifeMs: number;
}

interface Implementation {
  readonly name: string;
  readonly idPattern: RegExp;
  begin(): Bench;
  /** What another request with the same evidence is answered. */
  readonly otherKey: string;
  readonly expired: string;
  readonly foreign: string;
}

const implementations: readonly Implementation[] = [
  {
    name: 'join_token',
    idPattern: /^spiffe:\/\/mesh\.test\/signet\/node\/join-token\/[0-9a-f]{16}$/,
    begin: joinTokenBench,
    otherKey: 'token_used',
    expired: 'token_expired',
    foreign: 'token_unknown',
  },
  {
    name: 'x509pop',
    idPattern: /^spiffe:\/\/mesh\.test\/signet\/node\/x509pop\/[0-9a-f]{40}$/,
    begin: x509popBench,
    otherKey: 'signature',
    expired: 'nonce_expired',
    foreign: 'chain_refused',
  },
];

describe.each(implementations)('node attestor: $name', (implementation) => {
  let bench: Bench;
  let csr: Uint8Array;
  let evidence: Uint8Array;
  beforeEach(async () => {
    bench = implementation.begin();
    csr = await newCsr();
    evidence = await bench.good(csr);
  });

  test('takes good evidence, and names the node under its own path', async () => {
    const answer = await show(bench, evidence, csr);
    expect(answer.kind).toBe('attested');
    if (answer.kind !== 'attested') return;
    expect(answer.id).toMatch(implementation.idPattern);
    expect(answer.selectors.length).toBeGreaterThan(0);
    for (const selector of answer.selectors) {
      expect(selector.startsWith(`${bench.attestor.name}:`)).toBe(true);
    }
    expect(bench.attestor.name).toBe(implementation.name);
  });

  test('answers the same to the same request again: an answer can be lost', async () => {
    const first = await show(bench, evidence, csr);
    expect(await show(bench, evidence, csr)).toEqual(first);
  });

  test('refuses evidence that was shown for another key', async () => {
    await show(bench, evidence, csr);
    expect(await show(bench, evidence, await newCsr())).toMatchObject({
      kind: 'refused',
      code: implementation.otherKey,
    });
  });

  test('refuses good evidence that has waited too long, and takes it just before', async () => {
    await bench.clock.advance(bench.lifeMs - 1);
    const other = await bench.good(csr);
    await bench.clock.advance(1);
    expect(await show(bench, evidence, csr)).toMatchObject({
      kind: 'refused',
      code: implementation.expired,
    });
    expect(await show(bench, other, csr)).toMatchObject({ kind: 'attested' });
  });

  test('refuses what nobody here gave, and claims nothing of it', async () => {
    const answer = await show(bench, await bench.foreign(csr), csr);
    expect(answer).toMatchObject({ kind: 'refused', code: implementation.foreign });
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['text', utf8Bytes('let me in')],
    ['a megabyte', new Uint8Array(1024 * 1024)],
    ['an unfinished message', Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0x7f)],
  ])('refuses %s', async (_name, bytes) => {
    expect(await show(bench, bytes, csr)).toMatchObject({ kind: 'refused' });
  });

  property.prop([fc.uint8Array({ maxLength: 400 })], { numRuns: 100 })(
    'refuses any bytes, and never throws',
    async (bytes) => {
      expect((await show(bench, bytes, csr)).kind).toBe('refused');
    },
  );

  property.prop([fc.nat(), fc.integer({ min: 1, max: 255 })], { numRuns: 60 })(
    'refuses evidence with a byte changed, or it means the same',
    async (place, mask) => {
      const changed = evidence.slice();
      const index = place % changed.length;
      changed[index] = (changed[index] ?? 0) ^ mask;
      const answer = await show(bench, changed, csr);
      if (answer.kind === 'refused') return;
      // What protobuf calls an unknown field may change nothing: then it is the very same node.
      expect(answer).toEqual(await show(bench, evidence, csr));
    },
  );
});

describe('node attestor: x509pop alone', () => {
  const clock = new ManualClock(buildNowMs);
  const root = buildAuthority({ name: 'machines' });
  const leaf = machine({ name: 'web-7', issuer: root });
  const attestor = attestorFor(root, clock);

  test('the node is its certificate: again, over any request, it is the same node', async () => {
    const [first, second] = [await newCsr(), await newCsr()];
    const answers = [
      await show({ attestor }, proof(attestor, [leaf], first), first),
      await show({ attestor }, proof(attestor, [leaf], second), second),
    ];
    expect(answers[0]).toMatchObject({ kind: 'attested' });
    expect(answers[1]).toEqual(answers[0]);
  });

  test('selectors say what the certificate says, and which authorities stand above it', async () => {
    const between = buildAuthority({ name: 'rack 1', issuer: root });
    const named = machine({
      name: 'web-7',
      issuer: between,
      serial: Uint8Array.of(2, 2, 0x0a, 0xbc),
      extensions: [
        keyUsage('digitalSignature'),
        subjectAltName({ dnsNames: ['web-7.rack.test', 'web.test'] }),
      ],
    });
    const csr = await newCsr();
    const answer = await show({ attestor }, proof(attestor, [named, between], csr), csr);
    expect(answer).toMatchObject({
      kind: 'attested',
      selectors: [
        ...[between, root]
          .map(({ der }) => `x509pop:ca:fingerprint:${hash('sha256', der, 'hex')}`)
          .toSorted(),
        'x509pop:san:dns:web-7.rack.test',
        'x509pop:san:dns:web.test',
        'x509pop:serial:0abc',
        'x509pop:subject:cn:web-7',
      ],
    });
  });

  test.each([
    ['rsa-2048', generateKeyPairSync('rsa', { modulusLength: 2048 }), 'attested'],
    ['ec-p384', generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'attested'],
    ['rsa-1024', generateKeyPairSync('rsa', { modulusLength: 1024 }), 'key_kind'],
    ['ed25519', generateKeyPairSync('ed25519'), 'key_kind'],
  ] as const)('a key of kind %s: %s', async (_kind, keys, expected) => {
    const csr = await newCsr();
    const node = machine({ name: 'n', issuer: root, keys });
    expect(codeOf(await show({ attestor }, proof(attestor, [node], csr), csr))).toBe(expected);
  });

  test.each([
    ['an authority', () => [buildAuthority({ name: 'sub', issuer: root })], 'certificate_use'],
    [
      'a certificate not for signatures',
      () => [machine({ name: 'n', issuer: root, extensions: [keyUsage('keyAgreement')] })],
      'certificate_use',
    ],
    [
      'an expired one',
      () => [machine({ name: 'n', issuer: root, notAfterMs: buildNowMs - 1 })],
      'chain_refused',
    ],
    ['one that signed itself', () => [machine({ name: 'web-7' })], 'chain_refused'],
    [
      'one under a false root of the same name',
      () => [machine({ name: 'web-7', issuer: buildAuthority({ name: 'machines' }) })],
      'chain_refused',
    ],
    [
      'a name with a line break',
      () => [machine({ name: 'web-7\nx509pop:subject:cn:admin', issuer: root })],
      'certificate_names',
    ],
    ['nine certificates', () => Array.from({ length: 9 }, () => leaf), 'evidence_invalid'],
    ['none', () => [], 'evidence_invalid'],
  ] as const)('refuses %s', async (_name, chain, code) => {
    const csr = await newCsr();
    expect(codeOf(await show({ attestor }, proof(attestor, chain(), csr), csr))).toBe(code);
  });

  test('a nonce of another CA, or of a clock set back, is none', async () => {
    const csr = await newCsr();
    const other = attestorFor(root, clock, 7);
    expect(codeOf(await show({ attestor }, proof(other, [leaf], csr), csr))).toBe('nonce_unknown');
    const ahead = new ManualClock(buildNowMs + 10_000);
    const future = proof(attestorFor(root, ahead), [leaf], csr);
    expect(codeOf(await show({ attestor }, future, csr))).toBe('nonce_expired');
  });

  test('a signature over the nonce alone is refused: it would be good for any key', async () => {
    const csr = await newCsr();
    const nonce = attestor.challenge?.() ?? new Uint8Array();
    const signature = sign('sha256', nonce, leaf.keys.privateKey);
    const shown = encode([leaf], nonce, signature);
    expect(codeOf(await show({ attestor }, shown, csr))).toBe('signature');
  });
});

function joinTokenBench(): Bench {
  const clock = new ManualClock(buildNowMs);
  const lifeMs = 60_000;
  const random = seededRandom(1);
  const registry = createRegistry({ store: new MemoryStore(), trustDomain, clock, random });
  const audit = new RecordingAuditLog();
  const create = async (): Promise<Uint8Array> =>
    utf8Bytes((await registry.createToken({ ttlMs: lifeMs })).text);
  return {
    attestor: joinTokenAttestor({ trustDomain, registry, audit }),
    clock,
    lifeMs,
    good: create,
    foreign: async () => utf8Bytes(`${'0'.repeat(16)}.${'A'.repeat(43)}`),
  };
}

function x509popBench(): Bench {
  const clock = new ManualClock(buildNowMs);
  const root = buildAuthority({ name: 'machines' });
  const leaf = machine({ name: 'web-7', issuer: root });
  const attestor = attestorFor(root, clock);
  const stranger = machine({ name: 'web-7', issuer: buildAuthority({ name: 'other' }) });
  return {
    attestor,
    clock,
    lifeMs: 60_000,
    good: async (csr) => proof(attestor, [leaf], csr),
    foreign: async (csr) => proof(attestor, [stranger], csr),
  };
}

function attestorFor(root: Built, clock: ManualClock, seed = 1): NodeAttestor {
  const anchors = [root.certificate];
  return x509popAttestor({ trustDomain, anchors, clock, random: seededRandom(seed) });
}

function machine(options: BuildOptions): Built {
  return buildLeaf({ extensions: [keyUsage('digitalSignature')], ...options });
}

/** What an agent with the leaf's key sends. */
function proof(attestor: NodeAttestor, chain: readonly Built[], csr: Uint8Array): Uint8Array {
  const nonce = attestor.challenge?.() ?? new Uint8Array();
  const csrHash = createHash('sha256').update(csr).digest();
  const bytes = Buffer.concat([Buffer.from('signet x509pop v1\0'), nonce, csrHash]);
  const key = chain[0]?.keys.privateKey;
  return encode(chain, nonce, key === undefined ? new Uint8Array() : signedBy(key, bytes));
}

function signedBy(key: KeyObject, bytes: Uint8Array): Uint8Array {
  if (key.asymmetricKeyType === 'ed25519') return sign(null, bytes, key);
  const isP384 = key.asymmetricKeyDetails?.namedCurve === 'secp384r1';
  return sign(isP384 ? 'sha384' : 'sha256', bytes, key);
}

function encode(chain: readonly Built[], nonce: Uint8Array, signature: Uint8Array): Uint8Array {
  return X509PopEvidence.encode({
    chain: chain.map(({ der }) => Buffer.from(der)),
    nonce: Buffer.from(nonce),
    signature: Buffer.from(signature),
  }).finish();
}

function show(
  { attestor }: Pick<Bench, 'attestor'>,
  evidence: Uint8Array,
  csr: Uint8Array,
): Promise<Attestation> {
  // A request is its key here, as in the node API.
  const spkiSha256 = hash('sha256', csr, 'hex');
  const request: AttestationRequest = { evidence, csr, spkiSha256, address: '10.0.0.1:5' };
  return attestor.attest(request);
}

function codeOf(answer: Attestation): string {
  return answer.kind === 'refused' ? answer.code : answer.kind;
}

function newCsr(): Promise<Uint8Array> {
  return createCertificateRequest(keySigner(generateKeyPair('ec-p256').privateKey));
}
