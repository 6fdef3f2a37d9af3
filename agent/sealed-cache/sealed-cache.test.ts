import { createSecretKey, randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Logger, seededRandom, silentLogger, systemClock } from '../../core/index.ts';
import { generateKeyPair, keyIdOf, privateKeyToPkcs8Der } from '../../pki/index.ts';
import { formatBundle, parseTrustDomain } from '../../spiffe/index.ts';
import { makeTestPki, type TestPki } from '../../test/fakes/test-pki.ts';
import { bundlesOf } from '../ca-state.ts';
import { checkChain } from '../node-svid.ts';
import type { AgentSnapshot } from './agent-snapshot.ts';
import { type CacheConfig, cacheField } from './cache-config.ts';
import { cacheKeyOf, keyringNameOf } from './cache-key.ts';
import { dropKeyringKey, keyFromKeyring } from './kernel-keyring.ts';
import { privatePlaceOf } from './private-place.ts';
import { openSealedCache, type SealedCacheDeps } from './sealed-cache.ts';
import { seal, unseal } from './seal.ts';

const trustDomain = parseTrustDomain('mesh.test');
const key = createSecretKey(randomBytes(32));
const whatFor = { trustDomain, nodeId: 'spiffe://mesh.test/n', bootId: 'boot-1' };
const content = Buffer.from('what is held');

describe('the sealed form', () => {
  const file = seal(content, whatFor, key, randomBytes(12));

  test('opens for the same boot, trust domain and key, and shows nothing of its content', () => {
    expect(unseal(file, whatFor, key)).toEqual({
      kind: 'opened',
      content,
      nodeId: 'spiffe://mesh.test/n',
    });
    expect(file.includes(content)).toBe(false);
    expect(file.includes('boot-1')).toBe(false);
  });

  const changed = (at: number): Buffer => {
    const copy = Buffer.from(file);
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    return copy;
  };
  test.for([
    ['another boot', file, { ...whatFor, bootId: 'boot-2' }, key, 'cache_boot'],
    ['another trust domain', file, { ...whatFor, trustDomain: 'b' }, key, 'cache_trust_domain'],
    ['another key', file, whatFor, createSecretKey(randomBytes(32)), 'cache_key'],
    ['a changed byte of the content', changed(file.length - 20), whatFor, key, 'cache_key'],
    ['a changed byte of the tag', changed(file.length - 1), whatFor, key, 'cache_key'],
    ['a later version', changed(8), whatFor, key, 'cache_version'],
    ['a changed node', changed(file.indexOf('/n"') + 1), whatFor, key, 'cache_key'],
    ['no cache', Buffer.from('SGNTCACX and more'), whatFor, key, 'cache_format'],
    ['a cut file', file.subarray(0, 40), whatFor, key, 'cache_format'],
    ['an empty file', Buffer.alloc(0), whatFor, key, 'cache_format'],
  ] as const)('%s is refused', ([, bytes, target, anyKey, code]) => {
    expect(unseal(bytes, target, anyKey)).toMatchObject({ kind: 'refused', code });
  });

  test('no cut and no changed byte of it is opened', () => {
    for (let at = 0; at < file.length; at += 1) {
      expect(unseal(file.subarray(0, at), whatFor, key).kind).toBe('refused');
      expect(unseal(changed(at), whatFor, key).kind).toBe('refused');
    }
  });
});

describe('a cache in a file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sealed-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const memory = mkdtempSync('/dev/shm/sealed-');
  afterAll(() => rmSync(memory, { recursive: true }));
  let pki: TestPki;
  beforeAll(async () => {
    pki = await makeTestPki({ trustDomain, nowMs: systemClock.wallMs() });
  });

  const keyed = (name: string): CacheConfig => ({
    kind: 'on',
    path: join(directory, name),
    key: { kind: 'file', path: join(memory, `${name}.key`) },
  });
  const depsOf = (changes: Partial<SealedCacheDeps> = {}): SealedCacheDeps => ({
    trustDomain,
    place: privatePlaceOf(join(directory, 'run', 'agent.sock')),
    euid: process.geteuid?.(),
    environment: {},
    bootId: async () => 'boot-1',
    clock: systemClock,
    random: { ...seededRandom(1), bytes: (length) => randomBytes(length) },
    log: silentLogger,
    ...changes,
  });

  async function snapshotOf(of: TestPki = pki): Promise<AgentSnapshot> {
    const bundleText = new TextEncoder().encode(
      formatBundle({
        trustDomain: of.trustDomain,
        sequence: 1n,
        x509Authorities: [of.root.certificate],
        jwtAuthorities: [],
      }),
    );
    const bundles = bundlesOf(bundleText, of.trustDomain);
    const issue = async (id: string, notAfterMs: number) => {
      const { privateKey, publicKey } = generateKeyPair('ec-p256');
      const leaf = await of.issueLeaf({ id, publicKey, notAfterMs });
      const atMs = Math.min(systemClock.wallMs(), notAfterMs - 1);
      const certificates = leaf.chainDer;
      const checked = checkChain({ certificates, publicKey, bundles, atMs });
      return { ...checked, privateKey, renewAtMs: 5 };
    };
    const nowMs = systemClock.wallMs();
    const held = async (entryId: string, notAfterMs: number) => {
      const { id, chain, privateKey, ...rest } = await issue(`/${entryId}`, notAfterMs);
      return {
        ...rest,
        entryId,
        entryRevision: 7n,
        svid: { id, chain, privateKey },
        issuedAtMs: 9,
      };
    };
    return {
      savedAtMs: nowMs,
      caTrust: 'sha256:00',
      bundles,
      bundleText,
      node: await issue('/signet/node/n', nowMs - 1000),
      attestKey: generateKeyPair('ec-p256'),
      push: undefined,
      svids: [await held('web', nowMs + 60_000), await held('gone', nowMs - 1000)],
    };
  }

  const accept = (): undefined => undefined;

  test('a later start finds what was held, without what has expired', async () => {
    const config = keyed('a');
    const snapshot = await snapshotOf();
    const cache = await openSealedCache(config, depsOf());
    expect(await cache.load(accept)).toBeUndefined();
    cache.keep(() => snapshot);
    await cache.close();
    expect(cache.status.current()).toMatchObject({
      kind: 'on',
      key: 'file',
      written: { svids: 2 },
    });
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o600);
    expect(statSync(join(memory, 'a.key')).mode & 0o777).toBe(0o600);

    const later = await openSealedCache(config, depsOf());
    const found = await later.load(accept);
    const [web, ...others] = found?.svids ?? [];
    expect(others).toEqual([]);
    expect(web?.svid.privateKey.equals(snapshot.svids[0]!.svid.privateKey)).toBe(true);
    expect(web).toMatchObject({ entryId: 'web', entryRevision: 7n, renewAtMs: 5, issuedAtMs: 9 });
    expect(web?.rootKeyId).toBe(snapshot.svids[0]!.rootKeyId);
    expect(found?.attestKey.publicKey.equals(snapshot.attestKey.publicKey)).toBe(true);
    // The node's has ended too, and is known: it is to be attested again by the same name.
    expect(found?.node).toMatchObject({
      id: snapshot.node.id,
      notAfterMs: snapshot.node.notAfterMs,
    });

    // No key of it stands in the file.
    const file = readFileSync(join(directory, 'a'));
    for (const { svid } of snapshot.svids) {
      const der = Buffer.from(privateKeyToPkcs8Der(svid.privateKey));
      expect(file.includes(der.subarray(36, 68))).toBe(false);
    }
    expect(keyIdOf(snapshot.attestKey.publicKey).length).toBe(20);
  });

  test.for([
    ['after a reboot', { bootId: async () => 'boot-2' }, 'cache_boot'],
    ['of another trust domain', { trustDomain: parseTrustDomain('b.test') }, 'cache_trust_domain'],
  ] as const)(
    'what is there %s is ignored, with its reason in the log',
    async ([name, changes, code]) => {
      const config = keyed(`b-${code}`);
      const cache = await openSealedCache(config, depsOf());
      const snapshot = await snapshotOf();
      cache.keep(() => snapshot);
      await cache.close();
      const logged: unknown[] = [];
      const log: Logger = { ...silentLogger, warn: (_message, fields) => logged.push(fields) };
      const later = await openSealedCache(config, depsOf({ ...changes, log }));
      expect(await later.load(accept), name).toBeUndefined();
      expect(logged).toMatchObject([{ found: { kind: 'ignored', code } }]);
      const same = await openSealedCache(config, depsOf());
      expect((await same.load(accept))?.node.id).toBe(snapshot.node.id);
    },
  );

  test('a copy of the file without its key opens nothing, nor one that is not ours', async () => {
    const cache = await openSealedCache(keyed('c'), depsOf());
    const snapshot = await snapshotOf();
    cache.keep(() => snapshot);
    await cache.close();
    const other = await openSealedCache(
      { ...keyed('d'), path: join(directory, 'c') } as CacheConfig,
      depsOf(),
    );
    expect(await other.load(accept)).toBeUndefined();
    expect(other.status.current()).toMatchObject({ found: { kind: 'ignored', code: 'cache_key' } });
    const mine = await openSealedCache(keyed('c'), depsOf());
    expect(await mine.load(() => 'another CA')).toBeUndefined();
    expect(mine.status.current()).toMatchObject({ found: { code: 'cache_pin' } });
    await mine.forget();
    expect(await mine.load(accept)).toBeUndefined();
    expect(mine.status.current()).toMatchObject({ found: { kind: 'nothing' } });
  });

  test('a key on a disk, one that others may read, and one that is too short are refused', async () => {
    const at = (path: string) =>
      openSealedCache({ kind: 'on', key: { kind: 'file', path } }, depsOf());
    await expect(at(join(directory, 'key'))).rejects.toMatchObject({
      code: 'cache_key',
      message: expect.stringContaining('is on a disk'),
    });
    const path = join(memory, 'key');
    const cache = await at(path);
    expect(cache.status.current()).toMatchObject({ key: 'file', keyPlace: path });
    chmodSync(path, 0o640);
    await expect(at(path)).rejects.toThrow('has mode 640');
    chmodSync(path, 0o600);
    writeFileSync(path, 'short');
    await expect(at(path)).rejects.toThrow('has not 32');
  });

  const withKey: CacheConfig = { kind: 'on', key: { kind: 'auto' } };
  test('cache and key of root lie in a directory of its own, outside that of the socket', async () => {
    const place = privatePlaceOf(join(memory, 'run', 'agent.sock'));
    expect(place.directory).toBe(join(memory, 'run-agent'));
    const euid = process.geteuid?.();
    const cache = await openSealedCache(withKey, depsOf({ place, euid }));
    expect(cache.status.current()).toMatchObject({ kind: 'on', path: place.cache });
    expect(statSync(place.directory).mode & 0o777).toBe(0o700);
    if (euid === 0) expect(cache.status.current()).toMatchObject({ keyPlace: place.key });
  });

  test.for([
    ['open to others', (path: string) => mkdirSync(path) ?? chmodSync(path, 0o750), 'has mode 750'],
    ['a link', (path: string) => symlinkSync(memory, path), 'is not a directory'],
  ] as const)('a directory that is %s is not taken', async ([name, make, reason]) => {
    const place = privatePlaceOf(join(memory, name, 'agent.sock'));
    make(place.directory);
    const auto = await openSealedCache(withKey, depsOf({ place }));
    expect(auto.status.current()).toMatchObject({
      kind: 'off',
      reason: expect.stringContaining(reason),
    });
    const file = { kind: 'file', path: join(memory, 'elsewhere.key') } as const;
    const named = openSealedCache({ kind: 'on', key: file }, depsOf({ place }));
    await expect(named).rejects.toMatchObject({ code: 'cache_directory' });
  });

  test('nor is a directory of another user', async () => {
    const place = privatePlaceOf(join(memory, 'other', 'agent.sock'));
    mkdirSync(place.directory, { mode: 0o700 });
    const auto = await openSealedCache(withKey, depsOf({ place, euid: 4711 }));
    expect(auto.status.current()).toMatchObject({
      reason: expect.stringContaining('not 4711'),
    });
  });

  test('by the kernel keyring a later start finds what was held, and nothing once its key is dropped', async (context) => {
    // Of a trust domain that no agent of this machine has: its key is not touched.
    const own = parseTrustDomain(`keyring-${process.pid}.test`);
    const ring = await makeTestPki({ trustDomain: own, nowMs: systemClock.wallMs() });
    const keyName = keyringNameOf(own);
    const probe = keyFromKeyring(keyName, 32);
    if (probe.kind === 'unavailable') {
      context.skip(`SKIPPED: ${probe.reason}`);
      return;
    }
    const config: CacheConfig = {
      kind: 'on',
      path: join(directory, 'ring'),
      key: { kind: 'keyring' },
    };
    const open = (changes: Partial<SealedCacheDeps> = {}) =>
      openSealedCache(config, depsOf({ trustDomain: own, ...changes }));
    try {
      const snapshot = await snapshotOf(ring);
      const cache = await open();
      expect(cache.status.current()).toMatchObject({
        kind: 'on',
        key: 'keyring',
        keyPlace: `@u user ${keyName}`,
      });
      cache.keep(() => snapshot);
      await cache.close();
      const found = await (await open()).load(accept);
      expect(found?.svids.map(({ entryId }) => entryId)).toEqual(['web']);
      const rebooted = await open({ bootId: async () => 'boot-2' });
      expect(await rebooted.load(accept)).toBeUndefined();
      dropKeyringKey(keyName);
      const later = await open();
      expect(await later.load(accept)).toBeUndefined();
      expect(later.status.current()).toMatchObject({ found: { code: 'cache_key' } });
    } finally {
      dropKeyringKey(keyName);
    }
  });

  test('a user that is not root has its key in the keyring first, and root in a file', async () => {
    const place = privatePlaceOf(join(memory, 'order', 'agent.sock'));
    const own = parseTrustDomain(`order-${process.pid}.test`);
    const kindFor = async (euid: number | undefined): Promise<string> => {
      const deps = { ...depsOf({ place, euid, trustDomain: own }), bootId: 'boot-1' };
      const choice = await cacheKeyOf({ kind: 'auto' }, deps);
      return choice.kind === 'key' ? choice.key.kind : choice.kind;
    };
    const hasKeyring = keyFromKeyring(keyringNameOf(own), 32).kind === 'key';
    try {
      if (hasKeyring) expect(await kindFor(4711)).toBe('keyring');
      if (process.geteuid?.() === 0) expect(await kindFor(0)).toBe('file');
    } finally {
      dropKeyringKey(keyringNameOf(own));
    }
  });

  test('a systemd credential is a key; without one there is an error that says what to do', async () => {
    const config: CacheConfig = { kind: 'on', key: { kind: 'credential', name: 'cache' } };
    await expect(openSealedCache(config, depsOf())).rejects.toMatchObject({
      message: expect.stringContaining('no credentials'),
      remedy: expect.stringContaining('cache: off'),
    });
    writeFileSync(join(memory, 'cache'), randomBytes(32));
    const environment = { CREDENTIALS_DIRECTORY: memory };
    const cache = await openSealedCache(config, depsOf({ environment }));
    expect(cache.status.current()).toMatchObject({ key: 'credential' });
  });
});

test.for([
  [undefined, { kind: 'on', key: { kind: 'auto' } }],
  ['off', { kind: 'off' }],
  [{ key: 'off' }, { kind: 'off' }],
  [
    { path: '/a', key: 'keyring' },
    { kind: 'on', path: '/a', key: { kind: 'keyring' } },
  ],
  [{ key: { file: '/run/k' } }, { kind: 'on', key: { kind: 'file', path: '/run/k' } }],
  [{ key: { credential: 'c' } }, { kind: 'on', key: { kind: 'credential', name: 'c' } }],
] as const)('%j is a choice', ([text, expected]) => {
  expect(cacheField.parse(text)).toEqual(expected);
});

test.for([[{ key: 'disk' }], [{ key: { file: 'k' } }], [{ key: { credential: '../c' } }], ['on']])(
  '%j is none',
  ([text]) => {
    expect(cacheField.safeParse(text).success).toBe(false);
  },
);

test('a key of the kernel keyring is the same for every start, until it is dropped', (context) => {
  const name = `signet-test:${process.pid}`;
  const made = keyFromKeyring(name, 32);
  if (made.kind === 'unavailable') {
    context.skip(`SKIPPED: ${made.reason}`);
    return;
  }
  try {
    expect(made).toMatchObject({ kind: 'key', isNew: true });
    expect(keyFromKeyring(name, 32)).toEqual({ ...made, isNew: false });
  } finally {
    dropKeyringKey(name);
  }
  const other = keyFromKeyring(name, 32);
  dropKeyringKey(name);
  expect(other).toMatchObject({ kind: 'key', isNew: true });
  expect(other).not.toMatchObject({ bytes: made.bytes });
});
