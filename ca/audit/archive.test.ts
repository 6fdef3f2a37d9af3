import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../core/index.ts';
import { archiveAudit } from './archive.ts';
import { signArchiveMark } from './archive-mark.ts';
import { readSegmentSeal } from './archived-segments.ts';
import type { AuditEvent } from './event.ts';
import { openAuditLog } from './log.ts';
import { parseVerifier } from './parse-verifier.ts';
import { formatProofBundle, verifyProofBundle } from './proof-bundle.ts';
import { proveConsistency, proveRecord } from './prove.ts';
import { queryAudit } from './query.ts';
import { verifyAuditLog } from './verify.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const origin = 'mesh.test/signet/audit';
const records = 700;

describe('archiving sealed segments', () => {
  let base: string;
  let whole: string;
  let directory: string;
  let archive: string;
  let earlier: string;
  let verifierKey: string;
  const beforeMs = Date.parse('9999-01-01');

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'archive-'));
    whole = join(base, 'whole');
    await write(whole, 300);
    earlier = await readFile(join(whole, 'checkpoint'), 'utf8');
    await write(whole, 200);
    await write(whole, 200);
    verifierKey = await readFile(join(whole, 'verifier.pub'), 'utf8');
  });

  afterAll(() => rm(base, { recursive: true }));

  beforeEach(async () => {
    directory = await mkdtemp(join(base, 'copy-'));
    archive = join(directory, 'moved');
    await cp(whole, directory, { recursive: true });
  });

  afterEach(() => rm(directory, { recursive: true }));

  async function write(to: string, count: number): Promise<void> {
    const log = await openAuditLog({
      directory: to,
      clock: systemClock,
      signKey: privateKey,
      origin,
      segmentBytesMax: 30_000,
    });
    for (let group = 0; group < count; group += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, place) => log.append(removed(place))));
    }
    await log.close();
  }

  const archived = (before = beforeMs): ReturnType<typeof archiveAudit> =>
    archiveAudit({ directory, to: archive, beforeMs: before, signMark });

  /** As a running CA does it, but for the record. */
  async function signMark({ firstIndex }: { firstIndex: number }): Promise<string> {
    const seal = await readSegmentSeal(directory, firstIndex, parseVerifier(verifierKey));
    if (seal === undefined || seal === 'broken') throw new Error('no seal');
    return signArchiveMark(seal, 0, origin, privateKey);
  }

  test('the log proves what was moved, and verifies it again where the archive is given', async () => {
    const moved = await archived();
    const gone = moved.reduce((sum, segment) => sum + segment.records, 0);
    expect(moved.length).toBeGreaterThan(2);
    expect(await verifyAuditLog({ directory, verifierKey })).toMatchObject({
      kind: 'ok',
      size: records,
      archived: gone,
      tilesMissing: 0,
    });
    const again = await verifyAuditLog({ directory, archive, knownCheckpoint: earlier });
    expect(again).toMatchObject({ kind: 'ok', archived: 0, counts: { 'node.removed': records } });
    expect(await proveConsistency({ directory }, earlier)).toMatchObject({
      kind: 'consistent',
      firstSize: 300,
      size: records,
    });
    const proof = formatProofBundle(await proveRecord({ directory, archive }, 3));
    expect(verifyProofBundle(proof, verifierKey)).toMatchObject({ kind: 'proven', index: 3 });
    await expect(proveRecord({ directory }, 3)).rejects.toMatchObject({
      code: 'audit_record_unknown',
    });
  });

  test('the log goes on, and archives again', async () => {
    await archived();
    await write(directory, 250);
    const more = await archived();
    expect(more.length).toBeGreaterThan(0);
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', size: records + 250 });
    const found: number[] = [];
    for await (const { index } of queryAudit({ directory, archive })) found.push(index);
    expect(found).toEqual(Array.from({ length: records + 250 }, (_, index) => index));
  });

  test('a power cut takes the partial tiles, and the log opens without what was archived', async () => {
    const moved = await archived();
    const end = moved.reduce((sum, segment) => sum + segment.records, 0);
    expect(end).toBeLessThanOrEqual(512);
    const names = await readdir(join(directory, 'tile'), { recursive: true });
    const partials = names.filter((name) => /\.p\/\d+$/.test(name));
    expect(partials.length).toBeGreaterThan(1);
    for (const name of partials) await writeFile(join(directory, 'tile', name), '');
    await write(directory, 50);
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok', tilesMissing: 0 });
  });

  test('nothing is old enough', async () => {
    expect(await archived(0)).toEqual([]);
  });

  test.for<{ name: string; damage: () => Promise<void> }>([
    {
      name: 'an edited record',
      damage: () => edit('records-000000000000.jsonl', 'uid:0', 'uid:1'),
    },
    { name: 'a lost tile', damage: () => rm(join(directory, 'tile/0/000')) },
    { name: 'an edited tile', damage: () => flip('tile/0/001') },
    { name: 'a lost seal', damage: () => rm(join(directory, 'records-000000000000.seal')) },
  ])('a log that is not whole keeps everything: $name', async ({ damage }) => {
    await damage();
    await expect(archived()).rejects.toMatchObject({
      code: 'audit_archive_refused',
    });
    expect(await readdir(directory)).toContain('records-000000000000.jsonl');
  });

  test('a tile of archived records that is edited or lost is named', async () => {
    await archived();
    await flip('tile/0/001');
    const edited = await verifyAuditLog({ directory });
    expect(edited).toMatchObject({ kind: 'broken', code: 'tile_edited' });
    await rm(join(directory, 'tile/0/001'));
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'broken',
      code: 'tile_missing',
      index: 256,
    });
    await expect(write(directory, 50)).rejects.toMatchObject({ code: 'audit_tile_missing' });
    expect(await verifyAuditLog({ directory, archive })).toMatchObject({ tilesMissing: 1 });
  });

  test('an edited archive is found where it is given', async () => {
    await archived();
    await edit('moved/records-000000000000.jsonl', 'uid:0', 'uid:1');
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok' });
    expect(await verifyAuditLog({ directory, archive })).toMatchObject({
      kind: 'broken',
      code: 'edited',
      index: 0,
    });
  });

  test('a segment that is gone without a mark is a loss, archived neighbours or not', async () => {
    const [, second] = await archived();
    await rm(join(directory, (second?.name ?? '').replace('.jsonl', '.archived')));
    expect(await verifyAuditLog({ directory })).toMatchObject({
      kind: 'broken',
      code: 'truncated',
      index: second?.firstIndex,
    });
  });

  test.for<{ name: string; forge: (mark: string, other: string) => string }>([
    { name: 'written by hand', forge: () => '{"firstIndex":0,"records":80}' },
    { name: 'empty', forge: () => '' },
    { name: 'of another segment', forge: (_mark, other) => other },
    { name: 'edited', forge: (mark) => mark.replace('/archived\n0 ', '/archived\n0 1') },
    {
      name: "signed by another log's key",
      forge: (mark) => {
        const [, , count, sha256 = ''] = /\n(\d+) (\d+)\n([0-9a-f]+)\n/.exec(mark) ?? [];
        const segment = { firstIndex: 0, records: Number(count), sha256 };
        return signArchiveMark(segment, 0, origin, generateKeyPairSync('ed25519').privateKey);
      },
    },
  ])('a forged mark hides no loss: $name', async ({ forge }) => {
    const [, second] = await archived();
    const path = join(directory, 'records-000000000000.archived');
    const mark = await readFile(path, 'utf8');
    const other = await readFile(
      join(directory, (second?.name ?? '').replace('.jsonl', '.archived')),
      'utf8',
    );
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok' });
    await writeFile(path, forge(mark, other));
    const found = { kind: 'broken', code: 'bad_mark', index: 0 };
    expect(await verifyAuditLog({ directory })).toMatchObject(found);
    // Nor does the archive make it good: somebody wrote where only the log may.
    expect(await verifyAuditLog({ directory, archive })).toMatchObject(found);
    await writeFile(path, mark);
    expect(await verifyAuditLog({ directory })).toMatchObject({ kind: 'ok' });
  });

  test('a CA that is not the one of this log cannot archive it', async () => {
    const { privateKey: stranger } = generateKeyPairSync('ed25519');
    const attempt = archiveAudit({
      directory,
      to: archive,
      beforeMs,
      signMark: async ({ firstIndex }) =>
        signArchiveMark({ firstIndex, records: 1, sha256: '0'.repeat(64) }, 0, origin, stranger),
    });
    await expect(attempt).rejects.toMatchObject({ code: 'audit_archive_refused' });
    expect(await readdir(directory)).toContain('records-000000000000.jsonl');
  });

  test('an edited tile or seal of records that are there is named, and the records are not blamed', async () => {
    await flip('tile/0/001');
    expect(await verifyAuditLog({ directory })).toMatchObject({
      code: 'tile_edited',
      index: 256,
      detail: expect.stringContaining('tile/0/001'),
    });
    await cp(join(whole, 'tile'), join(directory, 'tile'), { recursive: true });
    await edit('records-000000000000.seal', '\n0 ', '\n0 1');
    expect(await verifyAuditLog({ directory })).toMatchObject({ code: 'bad_seal', index: 0 });
  });

  test('a history that forks after the earlier checkpoint is named a fork', async () => {
    const forged = join(directory, 'forged');
    await write(forged, 400);
    expect(await proveConsistency({ directory: forged, verifierKey }, earlier)).toMatchObject({
      kind: 'broken',
      code: 'forked',
      index: 299,
    });
    const shorter = join(directory, 'shorter');
    await write(shorter, 50);
    expect(await proveConsistency({ directory: shorter, verifierKey }, earlier)).toMatchObject({
      kind: 'broken',
      code: 'truncated',
      index: 50,
    });
  });

  test.for([
    { name: 'another record', from: /extra .{40}/, to: 'extra AAAA', code: 'record_malformed' },
    { name: 'another index', from: /index 3/, to: 'index 4', code: 'record_malformed' },
    { name: 'no header', from: /@v1/, to: '@v2', code: 'proof_malformed' },
    { name: 'a hash that is none', from: /(index 3\n)./, to: '$1-', code: 'proof_malformed' },
    { name: 'another hash', from: /(index 3\n)...../, to: '$1AAAAA', code: 'not_included' },
    { name: 'another size', from: /\n700\n/, to: '\n701\n', code: 'note_signature' },
    { name: 'nothing', from: /[\s\S]*/, to: '', code: 'proof_malformed' },
  ])('a proof with $name proves nothing', async ({ from, to, code }) => {
    const proof = formatProofBundle(await proveRecord({ directory }, 3));
    expect(verifyProofBundle(proof, verifierKey).kind).toBe('proven');
    expect(verifyProofBundle(proof.replace(from, to), verifierKey)).toMatchObject({ code });
  });

  async function edit(name: string, from: string, to: string): Promise<void> {
    const path = join(directory, name);
    await writeFile(path, (await readFile(path, 'utf8')).replace(from, to));
  }

  async function flip(name: string): Promise<void> {
    const path = join(directory, name);
    const bytes = await readFile(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(path, bytes);
  }
});

let serial = 0;

function removed(place: number): AuditEvent {
  serial += 1;
  const nodeId = `spiffe://mesh.test/signet/node/${place}/${serial}`;
  return { type: 'node.removed', actor: { kind: 'admin', id: 'uid:0' }, nodeId };
}
