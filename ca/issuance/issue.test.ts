import { createSecretKey, randomBytes, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom, toHex } from '../../core/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  type KeyKind,
  keyIdOf,
  keySigner,
  parseCertificate,
  spkiOf,
} from '../../pki/index.ts';
import { parseSpiffeId, parseTrustDomain, verifyX509Svid } from '../../spiffe/index.ts';
import { type Authorities, openAuthorities } from '../authority/authorities.ts';
import { createKeyStore } from '../authority/key-store.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { type Issued, type IssuanceDeps, type IssuingAuthorities, issueX509Svid } from './issue.ts';
import { lintLeaf } from './lint.ts';
import { openSerials } from './serial.ts';

const startMs = Date.parse('2026-11-22T12:00:00.250Z');
const trustDomain = parseTrustDomain('mesh.test');
const node = {
  id: parseSpiffeId('spiffe://mesh.test/signet/node/join-token/00'),
  address: '10.0.0.1:5',
};
const lifetimes = {
  rootMs: 86_400_000,
  issuingMs: 7_200_000,
  x509SvidMs: 3_600_000,
  nodeSvidMs: 1_800_000,
  backdateMs: 30_000,
};
const entry: RegistrationEntry = {
  id: 'entry-1',
  spiffeId: parseSpiffeId('spiffe://mesh.test/web'),
  parentId: node.id,
  selectors: [parseSelector('unix:uid:1000')],
  dnsNames: ['web.mesh.test', 'web'],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: 0,
  createdAtMs: startMs,
  revision: 1,
};

let clock: ManualClock;
let audit: RecordingAuditLog;
let authorities: Authorities;
let deps: IssuanceDeps;
let csr: Uint8Array;
const keys = generateKeyPair('ec-p256');

beforeAll(async () => {
  const store = new MemoryStore();
  clock = new ManualClock(startMs);
  audit = new RecordingAuditLog();
  const serials = await openSerials(store, systemRandom);
  authorities = await openAuthorities({
    store,
    keyStore: createKeyStore(createSecretKey(randomBytes(32)), systemRandom),
    audit,
    clock,
    log: silentLogger,
    trustDomain,
    lifetimes,
    nextSerial: () => serials.next(),
  });
  deps = {
    trustDomain,
    lifetimes,
    clock,
    authorities,
    serials,
    audit,
    onIssued: () => {},
    isNode: async (id) => id === node.id,
    authorizedEntry: (nodeId, entryId) =>
      nodeId === node.id && entryId === entry.id ? entry : undefined,
  };
  csr = await createCertificateRequest(keySigner(keys.privateKey));
});

afterAll(() => authorities.close());

function workload(entryId = entry.id): Parameters<typeof issueX509Svid>[1]['subject'] {
  return { kind: 'workload', caller: node, entryId };
}

describe('the operator’s policy', () => {
  const policy = (kind: 'allow' | 'deny'): Partial<IssuanceDeps> => ({
    policy: () => ({ kind, rule: 'a-rule', reason: 'because' }),
  });

  test('refuses with its reason and rule, before a serial is taken', async () => {
    const outcome = await issueX509Svid(
      { ...deps, ...policy('deny') },
      { subject: workload(), csr },
    );
    expect(outcome).toMatchObject({
      kind: 'refused',
      reason: 'permission_denied',
      code: 'policy_denied',
      detail: 'because',
      policy: { rule: 'a-rule', reason: 'because' },
    });
  });

  test('allows, and its rule and reason are on the record', async () => {
    await issued(policy('allow'));
    expect(audit.events.at(-1)).toMatchObject({
      policy: { rule: 'a-rule', reason: 'because' },
    });
  });

  test('is asked what is now known', async () => {
    let asked: unknown;
    await issued({
      policy: (question) => {
        asked = question;
        return { kind: 'allow', rule: 'default', reason: '' };
      },
    });
    const ttlMs = lifetimes.x509SvidMs;
    expect(asked).toEqual({ nodeId: node.id, entry, kind: 'x509', ttlMs, keyType: 'ec-p256' });
  });

  test('is not asked about nodes', async () => {
    const subject = { kind: 'renewing_node', caller: node } as const;
    const outcome = await issueX509Svid({ ...deps, ...policy('deny') }, { subject, csr });
    expect(outcome.kind).toBe('issued');
  });
});

async function issued(given: Partial<IssuanceDeps> = {}): Promise<Issued> {
  const outcome = await issueX509Svid({ ...deps, ...given }, { subject: workload(), csr });
  if (outcome.kind === 'issued') return outcome;
  throw new Error(outcome.detail);
}

describe('a certificate', () => {
  test('says what the registry says, over the key of the request', async () => {
    const { chain, serial, notAfterMs } = await issued();
    const leaf = parseCertificate(chain[0] ?? new Uint8Array());
    expect(leaf.extensions.subjectAltName).toMatchObject({
      critical: true,
      uris: ['spiffe://mesh.test/web'],
      dnsNames: ['web.mesh.test', 'web'],
    });
    expect(toHex(leaf.spki)).toBe(toHex(spkiOf(keys.publicKey)));
    expect(leaf.serial).toBe(serial);
    expect(leaf.notAfterMs).toBe(notAfterMs);
    expect(new Date(leaf.notBeforeMs).toISOString()).toBe('2026-11-22T11:59:30.000Z');
    expect(new Date(leaf.notAfterMs).toISOString()).toBe('2026-11-22T13:00:00.000Z');
  });

  test('is valid under the bundle, and OpenSSL thinks so too', async () => {
    const { chain } = await issued();
    const { bundle } = authorities.trust.current();
    expect(
      verifyX509Svid({
        chain: chain.map((der) => parseCertificate(der)),
        bundles: new Map([[bundle.trustDomain, bundle]]),
        atMs: startMs,
        purpose: 'serverAuth',
      }),
    ).toMatchObject({ kind: 'valid', id: entry.spiffeId });
    const [leaf, issuing] = chain.map((der) => new X509Certificate(der));
    expect(issuing && leaf?.checkIssued(issuing)).toBe(true);
    expect(issuing && leaf?.verify(issuing.publicKey)).toBe(true);
  });

  test('is in the audit log when it leaves', async () => {
    const { serial } = await issued();
    expect(audit.events.at(-1)).toMatchObject({
      type: 'svid.issued',
      actor: { kind: 'node', id: node.id, address: node.address },
      certificate: {
        serial,
        spiffeId: entry.spiffeId,
        entryId: entry.id,
        issuerKeyId: authorities.issuer().id,
      },
    });
  });

  test('does not leave when its node was removed while it was made', async () => {
    const outcome = await issueX509Svid(
      { ...deps, nodeStands: async () => false },
      { subject: workload(), csr },
    );
    expect(outcome).toMatchObject({ kind: 'refused', code: 'node_unknown' });
    expect((await issued({ nodeStands: async (id) => id === node.id })).kind).toBe('issued');
  });

  test('does not leave when the audit log fails', async () => {
    const failing = new RecordingAuditLog();
    failing.failing = true;
    await expect(issued({ audit: failing })).rejects.toMatchObject({ code: 'audit_write_failed' });
  });

  test('does not leave before the authority above it expects its end', async () => {
    const marks: number[] = [];
    const watching: IssuingAuthorities = {
      issuer: () => authorities.issuer(),
      expectLeaf: (_id, endMs) => void marks.push(endMs),
      recordLeaf: async (_id, endMs) => void marks.push(endMs),
    };
    const { notAfterMs } = await issued({ authorities: watching });
    expect(marks).toEqual([notAfterMs, notAfterMs]);
  });

  test.for<KeyKind>(['ec-p256', 'ec-p384', 'rsa-2048'])('may be for an %s key', async (kind) => {
    const { privateKey } = generateKeyPair(kind);
    const request = await createCertificateRequest(keySigner(privateKey));
    const outcome = await issueX509Svid(deps, { subject: workload(), csr: request });
    expect(outcome.kind).toBe('issued');
  });
});

describe('a hundred at once', () => {
  test('have a hundred serials and a hundred records', async () => {
    const before = audit.size();
    const all = await Promise.all(Array.from({ length: 100 }, () => issued()));
    expect(new Set(all.map(({ serial }) => serial)).size).toBe(100);
    expect(audit.size() - before).toBe(100);
  });
});

describe('a refusal', () => {
  const cases: readonly {
    readonly name: string;
    readonly request: () => Promise<Parameters<typeof issueX509Svid>[1]>;
    readonly code: string;
    readonly reason: string;
  }[] = [
    {
      name: 'an entry of another node, or of nobody',
      request: async () => ({ subject: workload('entry-2'), csr }),
      code: 'entry_not_authorized',
      reason: 'permission_denied',
    },
    {
      name: 'a node that is not registered',
      request: async () => ({
        subject: {
          kind: 'workload',
          caller: { ...node, id: parseSpiffeId('spiffe://mesh.test/signet/node/join-token/01') },
          entryId: entry.id,
        },
        csr,
      }),
      code: 'node_unknown',
      reason: 'permission_denied',
    },
    {
      name: 'a request whose signature does not hold',
      request: async () => ({
        subject: workload(),
        csr: csr.with(csr.length - 1, (csr.at(-1) ?? 0) ^ 1),
      }),
      code: 'csr_signature',
      reason: 'invalid_argument',
    },
    {
      name: 'no request at all',
      request: async () => ({ subject: workload(), csr: new Uint8Array() }),
      code: 'csr_malformed',
      reason: 'invalid_argument',
    },
  ];
  test.for(cases)('$name: $code', async ({ request, code, reason }) => {
    const before = audit.size();
    expect(await issueX509Svid(deps, await request())).toMatchObject({
      kind: 'refused',
      code,
      reason,
    });
    expect(audit.size()).toBe(before);
  });

  test('the authority signs no leaf over its own key', async () => {
    const { privateKey } = generateKeyPair('ec-p256');
    const own = keySigner(privateKey);
    const fake: IssuingAuthorities = {
      issuer: () => ({ ...authorities.issuer(), keyId: keyIdOf(own.publicKey) }),
      expectLeaf: () => {},
      recordLeaf: async () => {},
    };
    const request = await createCertificateRequest(own);
    expect(
      await issueX509Svid({ ...deps, authorities: fake }, { subject: workload(), csr: request }),
    ).toMatchObject({ code: 'key_of_authority' });
  });
});

describe('the lint', () => {
  test('stops bytes that are not what was meant, each way they can differ', async () => {
    const issuer = authorities.issuer();
    const validity = { kind: 'valid', notBeforeMs: startMs, notAfterMs: startMs + 60_000 } as const;
    const floor = (ms: number): number => Math.floor(ms / 1000) * 1000;
    const meant = {
      id: entry.spiffeId,
      dnsNames: ['web'],
      serial: Uint8Array.of(1, 2, 3),
      spki: spkiOf(keys.publicKey),
      keyKind: 'ec-p256' as const,
      keyId: keyIdOf(keys.publicKey),
      validity: {
        ...validity,
        notBeforeMs: floor(validity.notBeforeMs),
        notAfterMs: floor(validity.notAfterMs),
      },
    };
    const encode = (change: object): Uint8Array =>
      issuer.template.encode({
        serial: meant.serial,
        notBeforeMs: meant.validity.notBeforeMs,
        notAfterMs: meant.validity.notAfterMs,
        spki: meant.spki,
        uris: [meant.id],
        dnsNames: meant.dnsNames,
        ...change,
      });
    await expect(lintLeaf(encode({}), meant, issuer)).resolves.toBeDefined();
    const changes = [
      { serial: Uint8Array.of(1, 2, 4) },
      { notBeforeMs: meant.validity.notBeforeMs - 1000 },
      { notAfterMs: meant.validity.notAfterMs + 1000 },
      { spki: spkiOf(generateKeyPair('ec-p256').publicKey) },
      { uris: ['spiffe://mesh.test/api'] },
      { uris: ['spiffe://mesh.test'] },
      { uris: ['https://mesh.test/web'] },
      { dnsNames: [] },
      { dnsNames: ['web', 'api'] },
      { subject: authorities.trust.current().activeRoot.certificate.subject },
    ];
    for (const change of changes) {
      await expect(lintLeaf(encode(change), meant, issuer)).rejects.toMatchObject({
        code: 'lint_failed',
      });
    }
  });

  test('stops any single changed byte of the names and dates', async () => {
    const issuer = authorities.issuer();
    const { chain } = await issued();
    const leaf = parseCertificate(chain[0] ?? new Uint8Array());
    const intent = {
      id: entry.spiffeId,
      dnsNames: entry.dnsNames,
      serial: Buffer.from(leaf.serial, 'hex'),
      spki: leaf.spki,
      keyKind: 'ec-p256' as const,
      keyId: keyIdOf(keys.publicKey),
      validity: {
        kind: 'valid' as const,
        notBeforeMs: leaf.notBeforeMs,
        notAfterMs: leaf.notAfterMs,
      },
    };
    await expect(lintLeaf(leaf.tbs, intent, issuer)).resolves.toBeDefined();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(leaf.tbs.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const changed = leaf.tbs.with(at, (leaf.tbs[at] ?? 0) ^ flip);
          await expect(lintLeaf(changed, intent, issuer)).rejects.toThrow();
        },
      ),
      { numRuns: 300 },
    );
  });
});
