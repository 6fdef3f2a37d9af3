import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { systemRandom, utf8Bytes } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { createKeyStore } from '../authority/key-store.ts';
import { resealStore } from '../authority/reseal.ts';
import { claimStore } from '../authority/store-identity.ts';
import { carryOver } from '../backup/carry-over.ts';
import { openSecretSeal } from './sealed-values.ts';
import { createSecretStore, type PutSecret, type SecretStore } from './secret-store.ts';

const trustDomain = parseTrustDomain('mesh.test');
const allow = ['spiffe://mesh.test/web'];
const plain = (value: string) => new Map([['', utf8Bytes(value)]]);
const quiet = async (): Promise<void> => {};
const kek = (byte: number) => createSecretKey(Buffer.alloc(32, byte));

async function open(store = new MemoryStore(), byte = 1) {
  const keyStore = createKeyStore(kek(byte), systemRandom);
  await claimStore(store, keyStore, trustDomain);
  const seal = await openSecretSeal({ store, keyStore, random: systemRandom });
  const clock = new ManualClock(1000);
  return { store, secrets: createSecretStore({ store, seal, trustDomain, clock }) };
}

async function text(secrets: SecretStore, name: string, version?: number): Promise<string> {
  const secret = await secrets.get(name);
  if (secret === undefined) return '(none)';
  const values = await secrets.open(secret, version ?? secret.versions.at(-1)?.version ?? 0);
  return Buffer.from(values.get('') ?? []).toString();
}

describe('a named secret', () => {
  test('has versions that are all kept for a while, and is opened by the newest', async () => {
    const { secrets } = await open();
    for (const value of ['one', 'two', 'three']) {
      await secrets.put({ name: 'db', allow, values: plain(value), by: 'uid:0' }, quiet);
    }
    expect(await text(secrets, 'db')).toBe('three');
    expect(await text(secrets, 'db', 1)).toBe('one');
    for (let count = 0; count < 7; count += 1) {
      await secrets.put({ name: 'db', values: plain(`more ${count}`), by: 'uid:0' }, quiet);
    }
    await expect(text(secrets, 'db', 1)).rejects.toMatchObject({ code: 'secret_version' });
    expect(await text(secrets, 'db', 3)).toBe('three');
  });

  test('never has a version twice, not even after it was deleted', async () => {
    const { secrets } = await open();
    const put = (name: string) =>
      secrets.put({ name, allow, values: plain('x'), by: 'uid:0' }, quiet);
    await put('db');
    await put('db');
    await secrets.delete('db', quiet);
    expect(await secrets.get('db')).toBeUndefined();
    expect((await put('db')).versions).toMatchObject([{ version: 3 }]);
  });

  test('keeps its version when only its rule changes', async () => {
    const { secrets } = await open();
    await secrets.put({ name: 'db', allow, values: plain('x'), by: 'uid:0' }, quiet);
    const changed = await secrets.put(
      { name: 'db', allow: ['spiffe://mesh.test/*'], by: 'uid:0' },
      quiet,
    );
    expect(changed).toMatchObject({ allow: ['spiffe://mesh.test/*'], versions: [{ version: 1 }] });
    expect(await text(secrets, 'db')).toBe('x');
  });

  test('does not stand when it could not be recorded, and stands when it could', async () => {
    const { secrets } = await open();
    const p: PutSecret = { name: 'db', allow, values: plain('x'), by: 'uid:0' };
    const failing = () => Promise.reject(new Error('the disk is full'));
    await expect(secrets.put(p, failing)).rejects.toThrow('the disk is full');
    expect(await secrets.get('db')).toBeUndefined();
    await secrets.put(p, quiet);
    await expect(secrets.delete('db', failing)).rejects.toThrow('the disk is full');
    expect(await text(secrets, 'db')).toBe('x');
  });

  test('is nowhere in the store in clear, and its name is', async () => {
    const { store, secrets } = await open();
    await secrets.put({ name: 'db', allow, values: plain('hunter2-hunter2'), by: 'uid:0' }, quiet);
    const { items } = await store.range({ prefix: '' });
    const all = Buffer.concat(items.map(({ value }) => value)).toString('latin1');
    expect(all).not.toContain('hunter2');
    expect(all).not.toContain(Buffer.from('hunter2-hunter2').toString('base64').slice(0, 12));
    expect(all).toContain('"name":"db"');
  });

  test('opens under another key-encryption key once the store is resealed, and not before', async () => {
    const { store, secrets } = await open();
    await secrets.put({ name: 'db', allow, values: plain('kept'), by: 'uid:0' }, quiet);
    await expect(open(store, 2)).rejects.toMatchObject({ code: 'kek_wrong' });
    expect(await resealStore(store, { old: kek(1), next: kek(2) }, systemRandom)).toBe(2);
    expect(await text((await open(store, 2)).secrets, 'db')).toBe('kept');
  });

  test('of a restored CA gets versions that the lost one cannot have given out', async () => {
    const { store, secrets } = await open();
    await secrets.put({ name: 'db', allow, values: plain('kept'), by: 'uid:0' }, quiet);
    const { items } = await store.range({ prefix: '' });
    const restored = new MemoryStore();
    const puts = items.flatMap((item) => carryOver(item) ?? []);
    await restored.commit({ puts });
    const second = (await open(restored)).secrets;
    expect(await text(second, 'db')).toBe('kept');
    const next = await second.put({ name: 'db', values: plain('new'), by: 'uid:0' }, quiet);
    expect(next.versions.at(-1)?.version).toBeGreaterThan(1000);
  });
});

const big = new Uint8Array(64 * 1024).fill(7);
const many = (count: number, value: Uint8Array) =>
  new Map(Array.from({ length: count }, (_, index) => [`v${index}`, value]));
const accepted: readonly [string, Partial<PutSecret>][] = [
  ['the longest name', { name: 'a'.repeat(128) }],
  ['dots and dashes', { name: 'team.a_db-password' }],
  ['a value of 64 KiB', { values: new Map([['', big]]) }],
  ['64 values', { values: many(64, utf8Bytes('x')) }],
  ['512 KiB in all', { values: many(7, big) }],
  ['a whole trust domain', { allow: ['spiffe://mesh.test/*'] }],
];
const refused: readonly [string, Partial<PutSecret>, string][] = [
  ['a name too long', { name: 'a'.repeat(129) }, 'secret_name'],
  ['no name', { name: '' }, 'secret_name'],
  ['a path', { name: '../db' }, 'secret_name'],
  ['a slash', { name: 'a/b' }, 'secret_name'],
  ['capitals', { name: 'ROOTCA' }, 'secret_name'],
  ['what clients ask for an SVID by', { name: 'default' }, 'secret_name'],
  ['what clients ask for ticket keys by', { name: 'session-ticket-keys' }, 'secret_name'],
  ['an Istio name', { name: 'file-root:system' }, 'secret_name'],
  ['a value too long', { values: new Map([['', new Uint8Array(65_537)]]) }, 'secret_values'],
  ['an empty value', { values: plain('') }, 'secret_values'],
  ['no value', { values: new Map() }, 'secret_values'],
  ['65 values', { values: many(65, utf8Bytes('x')) }, 'secret_values'],
  ['more than 512 KiB', { values: many(8, big) }, 'secret_values'],
  ['a value named __proto__', { values: new Map([['__proto__', big]]) }, 'secret_values'],
  [
    'a plain value beside others',
    {
      values: new Map([
        ['', big],
        ['a', big],
      ]),
    },
    'secret_values',
  ],
  ['nobody', { allow: [] }, 'secret_access'],
  ['a pattern that is none', { allow: ['spiffe://mesh.test/web/*/x y'] }, 'secret_access'],
  ['another trust domain', { allow: ['spiffe://other.test/*'] }, 'secret_access'],
  ['no rule for a new secret', { allow: undefined }, 'secret_access'],
];

describe('a put', () => {
  test.for(accepted)('takes %s', async ([, p]) => {
    const { secrets } = await open();
    await secrets.put({ name: 'db', allow, values: plain('x'), by: 'uid:0', ...p }, quiet);
  });

  test.for(refused)('refuses %s', async ([, p, code]) => {
    const { secrets } = await open();
    const put = secrets.put({ name: 'db', allow, values: plain('x'), by: 'uid:0', ...p }, quiet);
    await expect(put).rejects.toMatchObject({ code });
    expect((await secrets.list({ limit: 10 })).secrets).toEqual([]);
  });
});
