import { stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CreateEntry } from '../../api/index.ts';
import { CaFixture } from './ca-fixture.ts';

let mesh: CaFixture;
beforeEach(async () => {
  mesh = await CaFixture.begin();
});
afterEach(() => mesh.end());

describe('the admin socket', () => {
  test('is for its owner alone', async () => {
    expect((await stat(mesh.ca.adminSocket)).mode & 0o777).toBe(0o600);
    expect((await stat(mesh.directory)).mode & 0o077).toBe(0);
  });

  test('names the caller in the record of each call that means to change something', async () => {
    await mesh.admin.createToken({});
    await expect(mesh.admin.deleteEntry('nobody')).rejects.toMatchObject({
      code: 'entry_not_found',
    });
    const { records } = await mesh.admin.audit({ from: -3 });
    const actor = { kind: 'admin', uid: process.getuid?.(), pid: process.pid };
    expect(records).toMatchObject([
      { type: 'token.created', actor },
      { type: 'admin.call', actor, method: 'POST', path: '/v1/tokens', status: 200 },
      { type: 'admin.call', actor, status: 404, refusal: { code: 'entry_not_found' } },
    ]);
  });

  test.for([
    [{ parentId: 'x' }, 'request_invalid', 'spiffeId'],
    [
      { spiffeId: 'spiffe://mesh.test/w', parentId: 'x', selectors: [], colour: 'red' },
      'request_invalid',
      'colour',
    ],
    [
      {
        spiffeId: 'spiffe://mesh.test/w',
        parentId: 'x',
        selectors: ['a:b'],
        x509SvidTtlSeconds: 31,
      },
      'entry_ttl',
      '30s left at half life',
    ],
    [
      { spiffeId: 'spiffe://other.test/w', parentId: 'spiffe://mesh.test/n', selectors: ['a:b'] },
      'entry_trust_domain',
      'mesh.test',
    ],
  ] as const)('%j is refused: %s', async ([body, code, text]) => {
    const create = (entry: CreateEntry): Promise<unknown> => mesh.admin.createEntry(entry);
    // What a careless client would send: the compiler must not stand in its way.
    await expect(Reflect.apply(create, undefined, [body])).rejects.toMatchObject({
      kind: 'invalid_argument',
      code,
      message: expect.stringContaining(text),
    });
    expect((await mesh.admin.listEntries({})).entries).toEqual([]);
  });

  test('pages through the audit log from either end', async () => {
    const { size } = await mesh.admin.audit({ from: 0, limit: 1 });
    const all = await mesh.admin.audit({ from: 0 });
    expect(all.records.map(({ index }) => index)).toEqual(
      Array.from({ length: size }, (_, i) => i),
    );
    expect(await mesh.admin.audit({ from: -1 })).toEqual({ records: all.records.slice(-1), size });
    expect((await mesh.admin.audit({ from: size })).records).toEqual([]);
    expect((await mesh.admin.audit({ from: -1000, limit: 2 })).records).toEqual(
      all.records.slice(0, 2),
    );
  });
});
