import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  authorityStartMs as startMs,
  authorityWorld,
  openWorld,
  operator,
  statesOf,
} from '../../test/fakes/authority-world.ts';
import { toHex } from '../../core/index.ts';
import { parseCertificate, verifyPath } from '../../pki/index.ts';
import { activeIssuing, activeRoot } from './slot.ts';

const second = 1000;
const nobody = (): { nodes: 0; nodesApplied: 0; subscribers: 0; acknowledged: 0 } => ({
  nodes: 0,
  nodesApplied: 0,
  subscribers: 0,
  acknowledged: 0,
});

test('a first start begins a root and an issuing authority, recorded before they are stored', async () => {
  const here = authorityWorld();
  const authorities = await openWorld(here);
  expect(statesOf(authorities)).toEqual(['root active', 'issuing active']);
  expect(here.audit.types()).toEqual([
    'authority.prepared',
    'authority.activated',
    'authority.issuing_rotated',
  ]);
  expect(authorities.trust.current().bundle.sequence).toBe(1n);
  await authorities.close();
});

test('an issuing authority chains to the bundle and may sign leaves only', async () => {
  const here = authorityWorld();
  const authorities = await openWorld(here);
  const issuer = authorities.issuer();
  const [issuing] = issuer.chain.map((der) => parseCertificate(der));
  expect(issuing?.extensions.basicConstraints).toMatchObject({ ca: true, pathLength: 0 });
  expect(issuing?.extensions.subjectAltName?.uris).toEqual(['spiffe://mesh.test']);
  const anchors = authorities.trust.current().bundle.x509Authorities;
  expect(toHex(anchors[0]?.extensions.subjectKeyId ?? new Uint8Array())).toBe(issuer.rootId);
  const chain = issuing === undefined ? [] : [issuing];
  expect(verifyPath({ chain, anchors, atMs: startMs })).toMatchObject({ kind: 'valid' });
  await authorities.close();
});

test('everything is the same after a restart', async () => {
  const here = authorityWorld();
  const before = await openWorld(here);
  const { id } = before.issuer();
  await before.prepare(operator);
  const document = before.trust.current().bundleDocument;
  await before.close();
  const after = await openWorld(here);
  expect(after.issuer().id).toBe(id);
  expect(after.trust.current().bundleDocument).toBe(document);
  expect(statesOf(after)).toEqual(['root active', 'issuing active', 'root prepared']);
  await after.close();
});

test.for([
  { name: 'another key-encryption key', change: { kek: randomBytes(32) }, code: 'kek_wrong' },
  { name: 'another trust domain', trustDomain: 'other.test', code: 'authority_trust_domain' },
])('a store is not opened with $name', async ({ change, trustDomain, code }) => {
  const here = authorityWorld();
  await (await openWorld(here)).close();
  const before = await here.store.range({ prefix: 'authorities/' });
  await expect(openWorld({ ...here, ...change }, trustDomain)).rejects.toMatchObject({
    code,
    kind: 'failed_precondition',
    remedy: expect.any(String),
  });
  expect(await here.store.range({ prefix: 'authorities/' })).toMatchObject({ items: before.items });
});

test('no private key is in the store in clear', async () => {
  const here = authorityWorld();
  const authorities = await openWorld(here);
  const { items } = await here.store.range({ prefix: 'authorities/' });
  // PKCS#8 of a P-256 key holds these bytes: version 1, then an octet string of 32.
  const marker = Buffer.from('0201010420', 'hex');
  expect(items).toHaveLength(2);
  for (const { value } of items) {
    const record: unknown = JSON.parse(Buffer.from(value).toString());
    const sealed = (record as { sealedKey: string }).sealedKey;
    expect(Buffer.from(sealed, 'base64').includes(marker)).toBe(false);
  }
  await authorities.close();
});

describe('issuing authorities', () => {
  test('renew themselves at half life and leave the bundle alone', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const { id } = authorities.issuer();
    await here.clock.advance(9 * second);
    expect(authorities.issuer().id).toBe(id);
    await here.clock.advance(1.1 * second);
    expect(authorities.issuer().id).not.toBe(id);
    expect(authorities.trust.current().bundle.sequence).toBe(1n);
    await authorities.close();
  });

  test('drain until the last leaf has ended, then their key is gone', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const { id } = authorities.issuer();
    authorities.expectLeaf(id, startMs + 14 * second);
    await here.clock.advance(10.5 * second);
    const stateOf = (): string | undefined =>
      authorities.current().authorities.find((each) => each.id === id)?.state;
    expect(stateOf()).toBe('draining');
    await here.clock.advance(4 * second);
    expect(stateOf()).toBe('draining');
    await here.clock.advance(1 * second);
    expect(stateOf()).toBe('retired');
    const item = await here.store.get(`authorities/${id}`);
    expect(Buffer.from(item?.value ?? []).toString()).not.toContain('sealedKey');
    await authorities.close();
  });

  test('are caught up with after a long sleep', async () => {
    const here = authorityWorld();
    await (await openWorld(here)).close();
    await here.clock.advance(600 * second);
    const authorities = await openWorld(here);
    expect(statesOf(authorities)).toEqual(['root active', 'issuing retired', 'issuing active']);
    expect(authorities.issuer().notAfterMs).toBeGreaterThan(here.clock.wallMs() + 18 * second);
    await authorities.close();
  });

  test('go on when the audit log comes back', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const { id } = authorities.issuer();
    here.audit.failing = true;
    await here.clock.advance(11 * second);
    expect(authorities.issuer().id).toBe(id);
    here.audit.failing = false;
    await here.clock.advance(6 * second);
    expect(authorities.issuer().id).not.toBe(id);
    await authorities.close();
  });
});

describe('a root', () => {
  test('goes from prepared to retired, each step seen by who watches', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const seen: string[] = [];
    authorities.trust.subscribe(({ bundle, activeRoot: root }) =>
      seen.push(`${bundle.sequence} ${bundle.x509Authorities.length} ${root.id}`),
    );
    const old = authorities.issuer();
    authorities.expectLeaf(old.id, startMs + 8 * second);

    const next = await authorities.prepare(operator);
    expect(authorities.issuer().id).toBe(old.id);
    await authorities.activate(operator, next.id, nobody, false);
    expect(authorities.issuer().rootId).toBe(next.id);
    await expect(authorities.retire(operator, old.rootId, false)).rejects.toMatchObject({
      code: 'authority_in_use',
    });
    await here.clock.advance(9 * second);
    await authorities.retire(operator, old.rootId, false);

    expect(seen.slice(0, 2)).toEqual([`2 2 ${old.rootId}`, `2 2 ${next.id}`]);
    expect(seen.at(-1)).toBe(`3 1 ${next.id}`);
    expect(here.audit.types().slice(3, 6)).toEqual([
      'authority.prepared',
      'authority.activated',
      'authority.issuing_rotated',
    ]);
    await authorities.close();
  });

  test('is not activated before it has arrived, unless forced', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const next = await authorities.prepare(operator);
    const lacking = () => ({ ...nobody(), nodes: 2, nodesApplied: 1 });
    await expect(authorities.activate(operator, next.id, lacking, false)).rejects.toMatchObject({
      code: 'authority_not_propagated',
    });
    expect(activeRoot(authorities.current())?.id).not.toBe(next.id);
    await authorities.activate(operator, next.id, lacking, true);
    expect(activeRoot(authorities.current())?.id).toBe(next.id);
    await authorities.close();
  });

  test('that has ended is replaced at the next start', async () => {
    const here = authorityWorld();
    const before = await openWorld(here);
    const old = activeRoot(before.current())?.id;
    await before.close();
    await here.clock.advance(3700 * second);
    const after = await openWorld(here);
    expect(activeRoot(after.current())?.id).not.toBe(old);
    expect(after.issuer().rootId).toBe(activeRoot(after.current())?.id);
    await after.close();
  });
});

describe('the mark of the last leaf', () => {
  test('is durable before it resolves, ahead of the leaf, and not written for each', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const { id } = authorities.issuer();
    await authorities.recordLeaf(id, startMs + 8 * second);
    const revision = here.store.revision();
    await authorities.recordLeaf(id, startMs + 9 * second);
    await authorities.recordLeaf(id, startMs + 10 * second);
    expect(here.store.revision()).toBe(revision);
    await authorities.close();

    const after = await openWorld(here);
    const mark = activeIssuing(after.current())?.lastLeafNotAfterMs ?? 0;
    expect(mark).toBeGreaterThanOrEqual(startMs + 10 * second);
    expect(mark).toBeLessThanOrEqual(startMs + 12 * second);
    await after.close();
  });

  test('many at once share one write', async () => {
    const here = authorityWorld();
    const authorities = await openWorld(here);
    const { id } = authorities.issuer();
    const revision = here.store.revision();
    await Promise.all(
      Array.from({ length: 50 }, () => authorities.recordLeaf(id, startMs + 8 * second)),
    );
    expect(here.store.revision()).toBe(revision + 1);
    await authorities.close();
  });
});
