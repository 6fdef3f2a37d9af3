import { beforeEach, describe, expect, test } from 'vitest';
import { seededRandom, utf8Bytes } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { AttestedNode } from './attested-node.ts';
import type { EntryDraft } from './registration-entry.ts';
import { createRegistry, type Registry } from './registry.ts';
import { RegistryError } from './registry-error.ts';
import { parseSelector } from './selector.ts';

const nowMs = Date.UTC(2030, 0, 1);
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/1');
const draft: EntryDraft = {
  spiffeId: 'spiffe://mesh.test/billing',
  parentId: nodeId,
  selectors: ['unix:uid:1000'],
};

describe('registry', () => {
  let store: MemoryStore;
  let clock: ManualClock;
  let registry: Registry;

  beforeEach(() => {
    store = new MemoryStore();
    clock = new ManualClock(nowMs);
    const trustDomain = parseTrustDomain('mesh.test');
    registry = createRegistry({ store, trustDomain, clock, random: seededRandom(1) });
  });

  describe('entries', () => {
    test('created, read, listed and deleted', async () => {
      const entry = await registry.createEntry({ ...draft, x509SvidTtlMs: 10_000 });
      expect(entry).toMatchObject({ ...draft, createdAtMs: nowMs, revision: 1, priority: 0 });
      expect(entry.id).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      );
      expect(await registry.getEntry(entry.id)).toEqual(entry);
      expect(await registry.listEntries()).toEqual({ items: [entry] });
      expect(await registry.deleteEntry(entry.id)).toEqual(entry);
      expect(await registry.getEntry(entry.id)).toBeUndefined();
      expect((await store.range({ prefix: '' })).items).toEqual([]);
    });

    test('a bad draft is refused and nothing is stored', async () => {
      await expect(registry.createEntry({ ...draft, selectors: [] })).rejects.toMatchObject({
        code: 'entry_selectors_empty',
      });
      expect(store.revision()).toBe(0);
    });

    test('a second entry for the same identity is refused with the id of the first', async () => {
      const first = await registry.createEntry(draft);
      const again = registry.createEntry({ ...draft, hint: 'other', priority: 3 });
      await expect(again).rejects.toMatchObject({
        code: 'entry_exists',
        kind: 'already_exists',
        existingId: first.id,
      });
      await registry.createEntry({ ...draft, selectors: ['unix:uid:1001'] });
      await registry.deleteEntry(first.id);
      await registry.createEntry(draft);
      expect((await registry.listEntries()).items).toHaveLength(2);
    });

    test('of many that create one identity at once, one wins', async () => {
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => registry.createEntry(draft)),
      );
      const winners = results.filter(({ status }) => status === 'fulfilled');
      expect(winners).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'rejected')
          expect(result.reason).toMatchObject({ code: 'entry_exists' });
      }
    });

    test('an update keeps id and age, raises the revision, and frees the old identity', async () => {
      const entry = await registry.createEntry(draft);
      await clock.advance(1000);
      const updated = await registry.updateEntry(
        entry.id,
        { ...draft, selectors: ['unix:uid:7'] },
        { expectedRevision: 1 },
      );
      expect(updated).toEqual({ ...entry, selectors: ['unix:uid:7'], revision: 2 });
      expect(await registry.getEntry(entry.id)).toEqual(updated);
      await registry.createEntry(draft);
    });

    test('an update that changes nothing leaves the revision, so that no SVID is made anew', async () => {
      const entry = await registry.createEntry(draft);
      const revision = store.revision();
      expect(await registry.updateEntry(entry.id, draft)).toEqual(entry);
      expect(store.revision()).toBe(revision);
    });

    test('an update is refused for a stale revision, a taken identity, an unknown entry', async () => {
      const first = await registry.createEntry(draft);
      const second = await registry.createEntry({ ...draft, selectors: ['unix:uid:2'] });
      await expect(
        registry.updateEntry(first.id, { ...draft, hint: 'x' }, { expectedRevision: 2 }),
      ).rejects.toMatchObject({
        code: 'entry_changed',
        kind: 'aborted',
      });
      await expect(registry.updateEntry(second.id, draft)).rejects.toMatchObject({
        code: 'entry_exists',
        existingId: first.id,
      });
      await registry.deleteEntry(second.id);
      await expect(registry.updateEntry(second.id, draft)).rejects.toMatchObject({
        code: 'entry_not_found',
      });
    });

    test('concurrent updates all count', async () => {
      const { id } = await registry.createEntry(draft);
      await Promise.all(
        Array.from({ length: 5 }, (_, priority) =>
          registry.updateEntry(id, { ...draft, priority: priority + 1 }),
        ),
      );
      expect(await registry.getEntry(id)).toMatchObject({ revision: 6 });
    });

    test.for(['', 'x', '../nodes/1', 'x'.repeat(10_000)])('no entry is named %j', async (id) => {
      expect(await registry.getEntry(id)).toBeUndefined();
      await expect(registry.deleteEntry(id)).rejects.toMatchObject({ code: 'entry_not_found' });
    });

    test('lists page in order of age, filtered, without a gap or a repeat', async () => {
      const ids: string[] = [];
      for (let count = 0; count < 10; count += 1) {
        await clock.advance(1);
        const parentId = count % 2 === 0 ? nodeId : 'spiffe://mesh.test/other';
        const { id } = await registry.createEntry({
          ...draft,
          parentId,
          selectors: [`a:${count}`],
        });
        if (count % 2 === 0) ids.push(id);
      }
      const seen: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await registry.listEntries({
          parentId: nodeId,
          limit: 2,
          ...(after === undefined ? {} : { after }),
        });
        seen.push(...page.items.map(({ id }) => id));
        after = page.next;
        if (after === undefined) break;
      }
      expect(seen).toEqual(ids);
      const spiffeId = parseSpiffeId('spiffe://mesh.test/none');
      expect(await registry.listEntries({ spiffeId })).toEqual({ items: [] });
    });

    test.for([
      ['not JSON', '{'],
      ['another shape', '{"schema":1}'],
      ['a later schema', '{"schema":2}'],
    ])('a stored entry that cannot be read is named: %s', async ([, text = '']) => {
      const { id } = await registry.createEntry(draft);
      await store.commit({ puts: [{ key: storeKeys.entry(id), value: utf8Bytes(text) }] });
      const refusal = await registry.getEntry(id).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(RegistryError);
      expect(refusal).toMatchObject({ code: 'registry_record_invalid', kind: 'data_loss' });
      expect(String(refusal)).toContain(storeKeys.entry(id));
    });
  });

  describe('nodes', () => {
    const node: AttestedNode = {
      id: nodeId,
      attestor: 'join_token',
      selectors: [parseSelector('x:1')],
      serial: '0a',
      notAfterMs: nowMs + 1000,
      attestedAtMs: nowMs,
    };

    test('put, read, changed, listed and removed', async () => {
      await registry.putNode(node);
      expect(await registry.getNode(nodeId)).toEqual(node);
      const renewed = await registry.updateNode(nodeId, (old) => ({ ...old, serial: '0b' }));
      expect(renewed).toEqual({ ...node, serial: '0b' });
      expect(await registry.listNodes()).toEqual({ items: [renewed] });
      expect(await registry.removeNode(nodeId)).toEqual(renewed);
      expect(await registry.getNode(nodeId)).toBeUndefined();
    });

    test('a node that was removed does not come back by a change', async () => {
      await registry.putNode(node);
      await registry.removeNode(nodeId);
      await expect(registry.updateNode(nodeId, (old) => old)).rejects.toMatchObject({
        code: 'node_not_found',
      });
      await expect(registry.removeNode(nodeId)).rejects.toMatchObject({ code: 'node_not_found' });
    });

    test('only the ID of a node is a node', async () => {
      const id = parseSpiffeId('spiffe://mesh.test/billing');
      await expect(registry.putNode({ ...node, id })).rejects.toMatchObject({ code: 'node_id' });
      expect(await registry.getNode(id)).toBeUndefined();
    });

    test('nodes list in pages', async () => {
      for (const name of ['1', '2', '3']) {
        const id = parseSpiffeId(`spiffe://mesh.test/signet/node/join-token/${name}`);
        await registry.putNode({ ...node, id });
      }
      const first = await registry.listNodes({ limit: 2 });
      expect(first).toMatchObject({ next: 'join-token/2' });
      const second = await registry.listNodes({ limit: 2, after: first.next ?? '' });
      expect(second.items.map(({ id }) => id)).toEqual([
        'spiffe://mesh.test/signet/node/join-token/3',
      ]);
    });
  });

  describe('tokens', () => {
    const spkiSha256 = 'a'.repeat(64);
    const otherKey = 'b'.repeat(64);

    test('created, used once, repeated by the same key, refused to another', async () => {
      const aliasId = parseSpiffeId('spiffe://mesh.test/edge');
      const { text, token } = await registry.createToken({ ttlMs: 600_000, aliasId });
      expect(await registry.getToken(token.id)).toEqual(token);
      expect(token.aliasId).toBe(aliasId);
      const first = await registry.useToken({ text, spkiSha256, nodeId });
      expect(first.kind).toBe('first_use');
      const repeat = await registry.useToken({ text, spkiSha256, nodeId });
      expect(repeat.kind).toBe('repeat');
      const other = await registry.useToken({ text, spkiSha256: otherKey, nodeId });
      expect(other).toMatchObject({ kind: 'refused', code: 'token_used' });
      expect(await registry.listTokens()).toEqual({
        items: [{ ...token, used: { nodeId, spkiSha256, atMs: nowMs } }],
      });
    });

    test('of two keys that use one token at once, one wins', async () => {
      const { text } = await registry.createToken({ ttlMs: 600_000 });
      const verdicts = await Promise.all(
        [spkiSha256, otherKey].map((key) => registry.useToken({ text, spkiSha256: key, nodeId })),
      );
      expect(verdicts.map(({ kind }) => kind).toSorted()).toEqual(['first_use', 'refused']);
    });

    test('neither the store nor a listing holds what attests', async () => {
      const { text } = await registry.createToken({ ttlMs: 600_000 });
      const secret = text.split('.')[1] ?? '';
      const { items } = await store.range({ prefix: '' });
      for (const { value } of items) expect(Buffer.from(value).includes(secret)).toBe(false);
    });

    test('an expired, deleted or invented token is refused', async () => {
      const { text, token } = await registry.createToken({ ttlMs: 1000 });
      await clock.advance(1000);
      expect(await registry.useToken({ text, spkiSha256, nodeId })).toMatchObject({
        code: 'token_expired',
      });
      expect(await registry.deleteToken(token.id)).toEqual(token);
      for (const unknown of [
        text,
        '',
        'x',
        '../entries/1',
        `${'0'.repeat(16)}.${'A'.repeat(43)}`,
      ]) {
        expect(await registry.useToken({ text: unknown, spkiSha256, nodeId })).toMatchObject({
          code: 'token_unknown',
        });
      }
      await expect(registry.deleteToken(token.id)).rejects.toMatchObject({
        code: 'token_not_found',
      });
    });

    const nodeWith = (tokenId: string): AttestedNode => ({
      id: nodeId,
      attestor: 'join_token',
      selectors: [parseSelector(`join_token:${tokenId}`)],
      serial: '0a',
      notAfterMs: nowMs + 1000,
      attestedAtMs: nowMs,
    });

    test('a registered node comes back by the key that it came with, however late', async () => {
      const { text, token } = await registry.createToken({ ttlMs: 600_000 });
      await registry.useToken({ text, spkiSha256, nodeId });
      await registry.putNode(nodeWith(token.id));
      await clock.advance(86_400_000);
      const again = await registry.useToken({ text, spkiSha256, nodeId });
      expect(again.kind).toBe('repeat');
      const other = await registry.useToken({ text, spkiSha256: otherKey, nodeId });
      expect(other).toMatchObject({ kind: 'refused', code: 'token_used' });
    });

    test('a node that has no place comes back by a lost answer alone', async () => {
      const { text } = await registry.createToken({ ttlMs: 600_000 });
      await registry.useToken({ text, spkiSha256, nodeId });
      await clock.advance(600_000);
      expect(await registry.useToken({ text, spkiSha256, nodeId })).toMatchObject({
        kind: 'refused',
        code: 'token_used',
      });
    });

    test('removing a node takes its token, so that a repeat does not bring it back', async () => {
      const { text, token } = await registry.createToken({ ttlMs: 600_000 });
      await registry.useToken({ text, spkiSha256, nodeId });
      await registry.putNode(nodeWith(token.id));
      await registry.removeNode(nodeId);
      expect(await registry.useToken({ text, spkiSha256, nodeId })).toMatchObject({
        code: 'token_unknown',
      });
      // Nor does an attestation that was under way.
      await expect(registry.putNode(nodeWith(token.id))).rejects.toMatchObject({
        code: 'token_not_found',
      });
    });

    test('its tokens may be taken from a node that stays', async () => {
      const { text, token } = await registry.createToken({ ttlMs: 600_000 });
      await registry.useToken({ text, spkiSha256, nodeId });
      await registry.putNode(nodeWith(token.id));
      await registry.removeTokensOf(nodeWith(token.id));
      expect(await registry.getNode(nodeId)).toBeDefined();
      expect(await registry.useToken({ text, spkiSha256, nodeId })).toMatchObject({
        code: 'token_unknown',
      });
    });

    test.for([0, 999, 1.5, -1, Number.NaN, 31 * 86_400_000])(
      'no token lives %d ms',
      async (ttlMs) => {
        await expect(registry.createToken({ ttlMs })).rejects.toMatchObject({ code: 'token_ttl' });
      },
    );

    test.for([1000, 30 * 86_400_000])('a token may live %d ms', async (ttlMs) => {
      expect((await registry.createToken({ ttlMs })).token.expiresAtMs).toBe(nowMs + ttlMs);
    });

    test.for([
      'spiffe://other.test/edge',
      'spiffe://mesh.test',
      'spiffe://mesh.test/signet/node/join-token/2',
    ])('%s is no alias', async (alias) => {
      const aliasId = parseSpiffeId(alias);
      await expect(registry.createToken({ ttlMs: 1000, aliasId })).rejects.toMatchObject({
        code: 'token_alias',
      });
    });
  });

  test('a store that fails is not taken for an empty one', async () => {
    store.failWith(new Error('disk'));
    await expect(registry.createEntry(draft)).rejects.toThrow('disk');
    await expect(registry.listNodes()).rejects.toThrow('disk');
  });
});
