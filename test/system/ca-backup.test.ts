import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { adminClient } from '../../api/index.ts';
import { resealData, restoreBackup, type RunningCa, verifyAuditLog } from '../../ca/index.ts';
import { systemRandom } from '../../core/index.ts';
import { parseCertificate, pemEncode } from '../../pki/index.ts';
import { parseBundle } from '../../spiffe/index.ts';
import { type CaAddress, connectNode, joinNode, type TestNode } from './ca-client.ts';
import { CaFixture, signed, trustDomain } from './ca-fixture.ts';
import { mountSmallDisk, resizeSmallDisk, unmountSmallDisk } from './small-disk.ts';
import { runSignet } from './signet-command.ts';

let mesh: CaFixture;
let node: TestNode;
let entryId: string;

beforeEach(async () => {
  mesh = await CaFixture.begin();
  node = await mesh.join();
  entryId = await mesh.webEntry(node);
  await signed(node, entryId);
});

afterEach(async () => {
  node.close();
  await mesh.end();
});

const beside = (name: string): string => join(mesh.directory, name);
const backUp = (to: string) => runSignet(['ca', 'backup', '--data', mesh.directory, '--to', to]);
const restore = (from: string, data: string) =>
  runSignet(['ca', 'restore', '--from', from, '--data', data]);
const serialsOf = (chain: readonly Uint8Array[]): string =>
  parseCertificate(chain[0] ?? new Uint8Array()).serial;

describe('a backup', () => {
  test('made under load restores a CA that knows what was known and repeats nothing', async () => {
    const { token: unused } = await mesh.admin.createToken({ ttlSeconds: 600 });
    const file = beside('backup');
    const over = new AbortController();
    const load = async (): Promise<void> => {
      while (!over.signal.aborted) await node.signMany(entryId, 8);
    };
    const loading = [load(), load()];
    const made = await backUp(file);
    over.abort();
    await Promise.all(loading);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/Made from +running CA/);
    expect(statSync(file).mode & 0o777).toBe(0o600);

    // The lost CA lived on, and started again, after its backup.
    const later = await signed(node, entryId);
    await mesh.restart();
    const lost = await mesh.admin.status();
    const sequence = (await mesh.bundle()).sequence;
    await mesh.stop();

    const data = beside('restored');
    const restored = await restore(file, data);
    expect(restored).toMatchObject({ code: 0, stderr: '' });
    expect(restored.stdout).toMatch(/Unused join tokens dropped +1/);
    expect(await verifyAuditLog({ directory: join(data, 'audit') })).toMatchObject({
      kind: 'ok',
      unsealed: 0,
    });
    const ca = await mesh.start({ data, adminSocket: beside('restored.sock') });
    try {
      const admin = adminClient(ca.adminSocket);
      const status = await admin.status();
      const bundle = await admin.bundle();
      expect(status).toMatchObject({ activeRootId: lost.activeRootId, entries: lost.entries });
      // No revision, sequence or serial that the lost one may have given out comes again.
      expect(status.revision).toBeGreaterThan(lost.revision + 1_000_000);
      expect(parseBundle(bundle, trustDomain).sequence).toBeGreaterThan(sequence);
      const known = connectNode(addressOf(ca, bundle), node.key, node.attested);
      const serial = serialsOf(await signed(known, entryId));
      known.close();
      expect(BigInt(`0x${serial.slice(0, 10)}`)).toBeGreaterThan(
        BigInt(`0x${serialsOf(later).slice(0, 10)}`) + 1000n,
      );
      await expect(joinNode(addressOf(ca, bundle), unused)).rejects.toMatchObject({
        code: 'token_unknown',
      });
    } finally {
      await ca.close();
    }
    expect(await verifyAuditLog({ directory: join(data, 'audit') })).toMatchObject({ kind: 'ok' });
    await mesh.restart();
  });

  test('of a CA that stands still needs no key, and is not written over', async () => {
    await mesh.stop();
    const file = beside('backup');
    const made = await backUp(file);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/Made from +files/);
    expect(await backUp(file)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/exists already/),
    });
    const nothing = await runSignet([
      'ca',
      'backup',
      '--data',
      beside('none'),
      '--to',
      beside('b'),
    ]);
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringMatching(/holds no CA/) });
    expect(existsSync(beside('b'))).toBe(false);
    expect(existsSync(beside('none'))).toBe(false);
    await mesh.restart();
  });

  test('holds no key in clear, and its file is for its owner', async () => {
    const file = beside('backup');
    await backUp(file);
    const text = readFileSync(file, 'utf8');
    const values = [...text.matchAll(/"value":"([^"]*)"/g)].map(([, value = '']) =>
      Buffer.from(value, 'base64').toString('latin1'),
    );
    // Every EC private key in PKCS#8 holds this algorithm identifier right before its ECPrivateKey.
    const marker = Buffer.from('06082a8648ce3d030107046d306b', 'hex').toString('latin1');
    expect(values.length).toBeGreaterThan(5);
    expect(values.some((value) => value.includes(marker))).toBe(false);
    expect(text).not.toContain('PRIVATE KEY');
    expect(text).not.toContain(mesh.kek);
  });
});

describe('a backup that is not right leaves nothing behind', () => {
  const bad: readonly (readonly [string, (bytes: Buffer) => Buffer, RegExp])[] = [
    ['cut short', (bytes) => bytes.subarray(0, bytes.length - 200), /unfinished|damaged/],
    [
      'cut at a line',
      (bytes) => bytes.subarray(0, bytes.lastIndexOf('{"kind":"end"')),
      /unfinished/,
    ],
    ['empty', () => Buffer.alloc(0), /unfinished|not a backup/],
    ['something else', () => randomBytes(10_000), /not a backup/],
    [
      'of another version',
      (bytes) => replaced(bytes, '"version":1', '"version":2'),
      /not a backup/,
    ],
    [
      'with one item changed',
      (bytes) => replaced(bytes, 'settings/serial', 'settings/sErial'),
      /hash/,
    ],
    ['with a byte of the log changed', flipPart, /hash/],
    ['with a line taken out', (bytes) => withoutLine(bytes, '"kind":"item"'), /hash/],
    [
      'with a line after its end',
      (bytes) => Buffer.concat([bytes, Buffer.from('{}\n')]),
      /follows the end/,
    ],
    [
      'with a path that climbs',
      (bytes) => replaced(bytes, '"path":"verifier.pub"', '"path":"../evil"'),
      /damaged/,
    ],
  ];

  test('whatever is wrong with it', async () => {
    const file = beside('backup');
    await backUp(file);
    const bytes = readFileSync(file);
    const before = readdirSync(mesh.directory);
    for (const [name, change, expected] of bad) {
      const changed = change(bytes);
      expect(changed.equals(bytes), name).toBe(false);
      const data = beside('restored');
      const attempt = restoreBackup(chunksOf(changed), data);
      await expect(attempt, name).rejects.toThrow(expected);
      expect(readdirSync(mesh.directory), name).toEqual(before);
    }
    // Its accepted twin.
    await restoreBackup(chunksOf(bytes), beside('restored'));
    // A directory that holds something is not touched.
    const again = await restore(file, beside('restored'));
    expect(again).toMatchObject({ code: 2, stderr: expect.stringMatching(/is not empty/) });
    expect((await restore(beside('missing'), beside('other'))).code).toBe(2);
    expect(existsSync(beside('other'))).toBe(false);
  });

  test('and neither does a disk that is too small for it', async ({ skip }) => {
    const file = beside('backup');
    await backUp(file);
    const small = beside('small');
    mkdirSync(small);
    if (!mountSmallDisk(small, '16k')) skip('this machine does not let the test mount a tmpfs');
    try {
      const into = (data: string) => restoreBackup(chunksOf(readFileSync(file)), data);
      await expect(into(join(small, 'ca'))).rejects.toMatchObject({ code: 'disk_full' });
      expect(readdirSync(small)).toEqual([]);
      resizeSmallDisk(small, '64m');
      await into(join(small, 'ca'));
      // The place where a file system is mounted cannot take a new name.
      rmSync(join(small, 'ca'), { recursive: true });
      await expect(into(small)).rejects.toMatchObject({ code: 'restore_target' });
    } finally {
      unmountSmallDisk(small);
    }
  });
});

describe('resealing', () => {
  test('puts all keys under the new key-encryption key, and none stays under the old one', async () => {
    const before = await mesh.admin.bundle();
    const [old, next] = [beside('kek'), beside('kek.new')];
    writeFileSync(old, mesh.kek);
    writeFileSync(next, randomBytes(32).toString('base64'));
    const reseal = (from: string, to: string) =>
      resealData({
        data: mesh.directory,
        old: { file: from },
        next: { file: to },
        environment: {},
        random: systemRandom,
      });

    await expect(reseal(old, next)).rejects.toMatchObject({ code: 'store_locked' });
    await mesh.stop();
    await expect(reseal(next, old)).rejects.toMatchObject({ code: 'kek_wrong' });
    writeFileSync(beside('short'), 'abc');
    await expect(reseal(old, beside('short'))).rejects.toMatchObject({ code: 'kek_malformed' });
    // Refused, and so nothing had changed: the old key still opens everything.
    await mesh.restart();
    await mesh.stop();

    const args = ['--data', mesh.directory, '--old-kek', old, '--new-kek', next];
    const done = await runSignet(['ca', 'reseal', ...args]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(Number(/Sealed values +(\d+)/.exec(done.stdout)?.[1])).toBeGreaterThanOrEqual(4);
    await expect(mesh.start()).rejects.toMatchObject({ code: 'kek_wrong' });
    const ca = await mesh.start({}, { KEK: readFileSync(next, 'utf8') });
    try {
      const known = connectNode(addressOf(ca, before), node.key, node.attested);
      expect((await signed(known, entryId)).length).toBe(2);
      known.close();
    } finally {
      await ca.close();
    }
    // Back again, so that the fixture can end as it began.
    expect(await reseal(next, old)).toBeGreaterThanOrEqual(4);
    await mesh.restart();
    expect(await mesh.admin.bundle()).toBe(before);
  });
});

function addressOf(ca: RunningCa, bundle: string): CaAddress {
  const { x509Authorities } = parseBundle(bundle, trustDomain);
  const roots = x509Authorities.map(({ der }) => pemEncode('CERTIFICATE', der)).join('');
  return { port: ca.agentPort, roots };
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  // An odd size, so that lines are cut everywhere.
  for (let at = 0; at < bytes.length; at += 997) yield new Uint8Array(bytes.subarray(at, at + 997));
}

function replaced(bytes: Buffer, what: string, by: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(what, by), 'latin1');
}

function withoutLine(bytes: Buffer, start: string): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  lines.splice(
    lines.findIndex((line) => line.includes(start)),
    1,
  );
  return Buffer.from(lines.join('\n'), 'latin1');
}

function flipPart(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const at = text.indexOf('"kind":"part","data":"') + 60;
  const flipped = text[at] === 'A' ? 'B' : 'A';
  return Buffer.from(text.slice(0, at) + flipped + text.slice(at + 1), 'latin1');
}
