import { expect, test } from 'vitest';
import { ManualClock, settle } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { seededRandom, silentLogger } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { NamedSecret } from './named-secret.ts';
import { encodeSecret } from './secret-record.ts';
import { openSecretHeads } from './secret-heads.ts';

const web = { id: 'e1', spiffeId: parseSpiffeId('spiffe://mesh.test/web') };
const api = { id: 'e2', spiffeId: parseSpiffeId('spiffe://mesh.test/api') };
/** A rule that gives `/user/<name>`. */
const rule = {
  id: 'r1',
  parts: [
    { kind: 'text', text: 'spiffe://mesh.test/user/' },
    { kind: 'fact', name: 'unix.user', prefix: 'unix:user:' },
  ],
} as const;

async function open() {
  const store = new MemoryStore();
  const blocked = new Set<string>();
  const heads = await openSecretHeads({
    store,
    trustDomain: parseTrustDomain('mesh.test'),
    whyBlocked: (id) => (blocked.has(id) ? 'stolen' : undefined),
    clock: new ManualClock(0),
    random: seededRandom(1),
    log: silentLogger,
  });
  const put = async (name: string, allow: readonly string[], version = 1): Promise<void> => {
    const versions = [{ version, createdAtMs: 0, by: 'uid:0', values: [{ name: '', bytes: 1 }] }];
    const secret: NamedSecret = { name, allow, versions, nextVersion: version + 1 };
    await store.commit({ puts: [{ key: storeKeys.secret(name), value: encodeSecret(secret) }] });
    await settle();
  };
  return { store, heads, blocked, put };
}

test('each entry is told of the secrets whose rule names it, and of no other', async () => {
  const { heads, put } = await open();
  expect(heads.headsOf([web, api, rule])).toEqual([]);
  await put('for-web', [web.spiffeId], 3);
  await put('for-all', ['spiffe://mesh.test/*', api.spiffeId]);
  await put('for-ann', ['spiffe://mesh.test/user/ann']);
  await put('for-nobody', ['spiffe://mesh.test/user/a/b']);
  expect(heads.headsOf([web, api, rule])).toEqual([
    { name: 'for-all', version: 1n, entryIds: ['*'] },
    { name: 'for-ann', version: 1n, entryIds: ['r1'] },
    { name: 'for-web', version: 3n, entryIds: ['e1'] },
  ]);
  expect(heads.headsOf([api]).map(({ name }) => name)).toEqual(['for-all']);
  expect(heads.headsOf([])).toEqual([]);
});

test('follows the store: another rule, another version, a delete; one that cannot be read harms no other', async () => {
  const { heads, put, store } = await open();
  let told = 0;
  heads.subscribe(() => {
    told += 1;
  });
  await put('db', [web.spiffeId]);
  await put('db', [api.spiffeId], 2);
  expect(heads.headsOf([web, api])).toEqual([{ name: 'db', version: 2n, entryIds: ['e2'] }]);
  await store.commit({ puts: [{ key: storeKeys.secret('odd'), value: new Uint8Array([1]) }] });
  await put('other', [web.spiffeId]);
  await store.commit({ deletes: [storeKeys.secret('db')] });
  await settle();
  expect(heads.headsOf([web, api]).map(({ name }) => name)).toEqual(['other']);
  expect(told).toBe(5);
  expect(heads.revision()).toBe(store.revision());
});

test('a blocked identity is told of none, and of all again when it is not', async () => {
  const { heads, put, blocked } = await open();
  await put('for-all', ['spiffe://mesh.test/*']);
  blocked.add(web.spiffeId);
  expect(heads.headsOf([web, api])).toEqual([{ name: 'for-all', version: 1n, entryIds: ['e2'] }]);
  expect(heads.headsOf([web])).toEqual([]);
  blocked.clear();
  expect(heads.headsOf([web, api])).toEqual([{ name: 'for-all', version: 1n, entryIds: ['*'] }]);
});
