import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger, toHex, WatchSource } from '../../core/index.ts';
import { parseCrl, whyNotIssuedBy } from '../../pki/index.ts';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { makeTestPki, type TestPki } from '../../test/fakes/test-pki.ts';
import type { ListIssuer } from '../authority/issuer.ts';
import { openRevocations } from './revocations.ts';
import type { RevokeRequest } from './revoke-request.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const actor = { kind: 'admin', id: 'uid:1' } as const;
const node = 'spiffe://mesh.test/signet/node/join-token/a';
let directory = '';
let pki: TestPki;
let other: TestPki;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signet-revocations-'));
  pki = await makeTestPki({ nowMs });
  other = await makeTestPki({ nowMs });
});
afterAll(() => rmSync(directory, { recursive: true }));

function issuerOf({ issuing }: TestPki): ListIssuer {
  const { certificate, signer } = issuing;
  return {
    id: toHex(certificate.extensions.subjectKeyId ?? new Uint8Array()),
    certificate,
    signer,
  };
}

async function setUp(store = new MemoryStore()) {
  const clock = new ManualClock(nowMs);
  const audit = new RecordingAuditLog();
  const trust = new WatchSource(0);
  let issuers = [issuerOf(pki)];
  const time = { isSure: true };
  const revocations = await openRevocations({
    store,
    audit,
    auditDirectory: directory,
    clock,
    log: silentLogger,
    issuers: () => issuers,
    trust,
    backdateMs: 30_000,
    issuingMs: 86_400_000,
    mayForget: () => time.isSure,
  });
  const issue = (serial: string, id = 'web', issuerKeyId = issuerOf(pki).id): void =>
    revocations.issued({
      actor: { kind: 'node', id: node },
      type: 'svid.issued',
      certificate: {
        serial,
        spiffeId: `spiffe://mesh.test/${id}`,
        spkiSha256: '',
        notBefore: new Date(nowMs).toISOString(),
        notAfter: new Date(nowMs + 3_600_000).toISOString(),
        issuerKeyId,
      },
    });
  const revoke = (by: RevokeRequest['target']['by'], value: string, block = false) =>
    revocations.revoke({ actor, target: { by, value }, reason: 'keyCompromise', block });
  const setIssuers = (next: ListIssuer[]): void => {
    issuers = next;
    trust.set(trust.current() + 1);
  };
  return { clock, audit, store, revocations, issue, revoke, setIssuers, time };
}

test('of a node only what was collected, so that one that attested anew meanwhile keeps its own', async () => {
  const { revocations, issue } = await setUp();
  issue('01');
  const target = { by: 'node', value: node } as const;
  const only = new Set(await revocations.serialsOf(target));
  issue('02');
  const request: RevokeRequest = { actor, target, reason: 'cessationOfOperation', block: false };
  const { revoked } = await revocations.revoke({ ...request, only });
  expect(revoked.map(({ serial }) => serial)).toEqual(['01']);
  expect([revocations.isRevoked('01'), revocations.isRevoked('02')]).toEqual([true, false]);
  // Without it the name covers all that it holds now.
  expect((await revocations.revoke(request)).revoked.map(({ serial }) => serial)).toEqual(['02']);
});

describe('what is named is revoked', () => {
  test.for([
    ['serial', '01', ['01']],
    ['spiffe_id', 'spiffe://mesh.test/web', ['01', '02']],
    ['node', node, ['01', '02', '03']],
    ['issuer', 'other', ['03']],
  ] as const)('by %s', async ([by, value, expected]) => {
    const { revocations, issue, revoke, audit } = await setUp();
    issue('01');
    issue('02');
    issue('03', 'orders', 'other');
    const { revoked } = await revoke(by, value);
    expect(revoked.map(({ serial }) => serial)).toEqual(expected);
    expect(revocations.state.current().serials).toEqual(expected);
    expect(audit.events.at(-1)).toMatchObject({ type: 'svid.revoked', by, serials: expected });
    // Again: nothing new, and nothing more on the record.
    const again = await revoke(by, value);
    expect(again).toMatchObject({ revoked: [], before: revoked });
    expect(audit.events).toHaveLength(1);
    await revocations.close();
  });

  test('and what names nothing is refused', async () => {
    const { revocations, revoke, audit } = await setUp();
    await expect(revoke('serial', 'ff')).rejects.toMatchObject({ code: 'revocation_nothing' });
    await expect(revoke('serial', 'ff', true)).rejects.toMatchObject({ code: 'revocation_block' });
    expect(audit.events).toEqual([]);
    expect(revocations.state.current().version).toBe(0);
    await revocations.close();
  });
});

describe('lists', () => {
  test('are signed for each authority, grow by one, and end with it', async () => {
    const { revocations, issue, revoke, setIssuers } = await setUp();
    issue('01');
    issue('02');
    await revoke('serial', '01');
    await revoke('serial', '02');
    const [der = new Uint8Array()] = revocations.state.current().crls;
    const list = parseCrl(der);
    expect(whyNotIssuedBy(list, pki.issuing.certificate)).toBeUndefined();
    expect(list).toMatchObject({ number: 2n, nextUpdateMs: pki.issuing.certificate.notAfterMs });
    expect([...list.revoked.keys()]).toEqual(['01', '02']);

    // A new authority gets one before anybody could miss it, and the old one stays as it is.
    setIssuers([issuerOf(pki), issuerOf(other)]);
    await revocations.refresh();
    const { crls } = revocations.state.current();
    expect(crls).toHaveLength(2);
    expect(crls[0]).toBe(der);
    expect(parseCrl(crls[1] ?? der).revoked.size).toBe(0);
    await revocations.close();
  });

  test('are there again after a restart, byte for byte', async () => {
    const first = await setUp();
    first.issue('01');
    await first.revoke('spiffe_id', 'spiffe://mesh.test/web', true);
    const { crls } = first.revocations.state.current();
    await first.revocations.close();
    const second = await setUp(first.store);
    expect(second.revocations.state.current()).toMatchObject({ crls, serials: ['01'] });
    expect(second.revocations.isRevoked('01')).toBe(true);
    expect(second.revocations.whyBlocked('spiffe://mesh.test/web')).toMatch(/blocked since/);
    await second.revocations.close();
  });

  test('forget a certificate some minutes after its end', async () => {
    const { clock, revocations, issue, revoke } = await setUp();
    issue('01');
    await revoke('serial', '01');
    await clock.advance(3_600_000 + 240_000);
    await settle();
    expect(revocations.isRevoked('01')).toBe(true);
    await clock.advance(180_000);
    await revocations.refresh();
    expect(revocations.state.current()).toMatchObject({ crls: [], serials: [] });
    await revocations.close();
  });

  test('while the time is not sure nothing is forgotten, and what the clock made ahead of time is made anew', async () => {
    const { revocations, issue, revoke, clock, time } = await setUp();
    issue('01');
    time.isSure = false;
    clock.jump(7_200_000);
    await revoke('serial', '01');
    await clock.advance(60_000);
    expect(revocations.isRevoked('01')).toBe(true);
    const thisUpdates = (): number[] =>
      revocations.state.current().crls.map((der) => parseCrl(der).thisUpdateMs);
    expect(thisUpdates()[0]).toBeGreaterThan(nowMs + 3_600_000);
    clock.jump(-7_200_000);
    time.isSure = true;
    await clock.advance(60_000);
    expect(revocations.isRevoked('01')).toBe(true);
    expect(thisUpdates()[0]).toBeLessThan(clock.wallMs());
    await revocations.close();
  });
});

test('many at once fit into the store and the record, and too many are refused', async () => {
  const { revocations, issue, revoke, audit, store } = await setUp();
  const serials = Array.from({ length: 1500 }, (_, at) =>
    toHex(Uint8Array.of(1, at >> 8, at & 255)),
  );
  for (const serial of serials) issue(serial);
  const { revoked } = await revoke('node', node);
  expect(revoked).toHaveLength(1500);
  expect(audit.events).toHaveLength(3);
  const again = await setUp(store);
  expect(again.revocations.state.current().serials).toHaveLength(1500);
  await again.revocations.close();

  for (let at = 0; at < 9000; at += 1) issue(toHex(Uint8Array.of(2, at >> 8, at & 255)));
  await expect(revoke('node', node)).rejects.toMatchObject({ code: 'revocations_many' });
  await revocations.close();
});

test('a blocked ID is blocked until it is lifted, with a record of both', async () => {
  const { revocations, revoke, audit } = await setUp();
  const id = 'spiffe://mesh.test/web';
  await expect(revoke('spiffe_id', id, true)).resolves.toMatchObject({ revoked: [] });
  expect(revocations.whyBlocked(id)).toMatch(/keyCompromise/);
  expect(await revocations.unblock(actor, id)).toBe(true);
  expect(await revocations.unblock(actor, id)).toBe(false);
  expect(revocations.whyBlocked(id)).toBeUndefined();
  expect(audit.events.map(({ type }) => type)).toEqual(['svid.revoked', 'svid.unblocked']);
  await revocations.close();
});

test('without its record nothing is revoked', async () => {
  const { revocations, issue, revoke, audit } = await setUp();
  issue('01');
  audit.failing = true;
  await expect(revoke('serial', '01')).rejects.toThrow();
  expect(revocations.isRevoked('01')).toBe(false);
  expect(revocations.state.current().version).toBe(0);
  await revocations.close();
});
