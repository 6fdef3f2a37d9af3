import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom, toHex } from '../../core/index.ts';
import { parseCertificate, verifyPath } from '../../pki/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import { openSerials } from '../issuance/serial.ts';
import type { Store } from '../store/store.ts';
import { type Authorities, openAuthorities } from './authorities.ts';
import { createKeyStore } from './key-store.ts';
import type { Lifetimes } from './lifetimes.ts';
import { activeIssuing, activeRoot } from './slot.ts';
import { claimStore } from './store-identity.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const second = 1000;
const lifetimes: Lifetimes = {
  rootMs: 3600 * second,
  issuingMs: 20 * second,
  x509SvidMs: 8 * second,
  nodeSvidMs: 8 * second,
  backdateMs: 5 * second,
};
const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };
const nobody = (): { nodes: 0; nodesApplied: 0; subscribers: 0; acknowledged: 0 } => ({
  nodes: 0,
  nodesApplied: 0,
  subscribers: 0,
  acknowledged: 0,
});

interface World {
  readonly store: Store;
  readonly audit: RecordingAuditLog;
  readonly clock: ManualClock;
  readonly kek: Buffer;
}

function world(): World {
  return {
    store: new MemoryStore(),
    audit: new RecordingAuditLog(),
    clock: new ManualClock(startMs),
    kek: randomBytes(32),
  };
}

async function open(
  { store, audit, clock, kek }: World,
  trustDomain = 'mesh.test',
): Promise<Authorities> {
  const keyStore = createKeyStore(createSecretKey(kek), systemRandom);
  const domain = parseTrustDomain(trustDomain);
  await claimStore(store, keyStore, domain);
  const serials = await openSerials(store, systemRandom);
  return openAuthorities({
    store,
    keyStore,
    audit,
    clock,
    log: silentLogger,
    trustDomain: domain,
    lifetimes,
    nextSerial: () => serials.next(),
  });
}

function states(authorities: Authorities): string[] {
  return authorities.current().authorities.map(({ tier, state }) => `${tier} ${state}`);
}

test('a first start begins a root and an issuing authority, recorded before they are stored', async () => {
  const here = world();
  const authorities = await open(here);
  expect(states(authorities)).toEqual(['root active', 'issuing active']);
  expect(here.audit.types()).toEqual([
    'authority.prepared',
    'authority.activated',
    'authority.issuing_rotated',
  ]);
  expect(authorities.trust.current().bundle.sequence).toBe(1n);
  await authorities.close();
});

test('an issuing authority chains to the bundle and may sign leaves only', async () => {
  const here = world();
  const authorities = await open(here);
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
  const here = world();
  const before = await open(here);
  const { id } = before.issuer();
  await before.prepare(operator);
  const document = before.trust.current().bundleDocument;
  await before.close();
  const after = await open(here);
  expect(after.issuer().id).toBe(id);
  expect(after.trust.current().bundleDocument).toBe(document);
  expect(states(after)).toEqual(['root active', 'issuing active', 'root prepared']);
  await after.close();
});

test.for([
  { name: 'another key-encryption key', change: { kek: randomBytes(32) }, code: 'kek_wrong' },
  { name: 'another trust domain', trustDomain: 'other.test', code: 'authority_trust_domain' },
])('a store is not opened with $name', async ({ change, trustDomain, code }) => {
  const here = world();
  await (await open(here)).close();
  const before = await here.store.range({ prefix: 'authorities/' });
  await expect(open({ ...here, ...change }, trustDomain)).rejects.toMatchObject({
    code,
    kind: 'failed_precondition',
    remedy: expect.any(String),
  });
  expect(await here.store.range({ prefix: 'authorities/' })).toMatchObject({ items: before.items });
});

test('no private key is in the store in clear', async () => {
  const here = world();
  const authorities = await open(here);
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
    const here = world();
    const authorities = await open(here);
    const { id } = authorities.issuer();
    await here.clock.advance(9 * second);
    expect(authorities.issuer().id).toBe(id);
    await here.clock.advance(1.1 * second);
    expect(authorities.issuer().id).not.toBe(id);
    expect(authorities.trust.current().bundle.sequence).toBe(1n);
    await authorities.close();
  });

  test('drain until the last leaf has ended, then their key is gone', async () => {
    const here = world();
    const authorities = await open(here);
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
    const here = world();
    await (await open(here)).close();
    await here.clock.advance(600 * second);
    const authorities = await open(here);
    expect(states(authorities)).toEqual(['root active', 'issuing retired', 'issuing active']);
    expect(authorities.issuer().notAfterMs).toBeGreaterThan(here.clock.wallMs() + 18 * second);
    await authorities.close();
  });

  test('go on when the audit log comes back', async () => {
    const here = world();
    const authorities = await open(here);
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
    const here = world();
    const authorities = await open(here);
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
    const here = world();
    const authorities = await open(here);
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
    const here = world();
    const before = await open(here);
    const old = activeRoot(before.current())?.id;
    await before.close();
    await here.clock.advance(3700 * second);
    const after = await open(here);
    expect(activeRoot(after.current())?.id).not.toBe(old);
    expect(after.issuer().rootId).toBe(activeRoot(after.current())?.id);
    await after.close();
  });
});

describe('the mark of the last leaf', () => {
  test('is durable before it resolves, ahead of the leaf, and not written for each', async () => {
    const here = world();
    const authorities = await open(here);
    const { id } = authorities.issuer();
    await authorities.recordLeaf(id, startMs + 8 * second);
    const revision = here.store.revision();
    await authorities.recordLeaf(id, startMs + 9 * second);
    await authorities.recordLeaf(id, startMs + 10 * second);
    expect(here.store.revision()).toBe(revision);
    await authorities.close();

    const after = await open(here);
    const mark = activeIssuing(after.current())?.lastLeafNotAfterMs ?? 0;
    expect(mark).toBeGreaterThanOrEqual(startMs + 10 * second);
    expect(mark).toBeLessThanOrEqual(startMs + 12 * second);
    await after.close();
  });

  test('many at once share one write', async () => {
    const here = world();
    const authorities = await open(here);
    const { id } = authorities.issuer();
    const revision = here.store.revision();
    await Promise.all(
      Array.from({ length: 50 }, () => authorities.recordLeaf(id, startMs + 8 * second)),
    );
    expect(here.store.revision()).toBe(revision + 1);
    await authorities.close();
  });
});

describe('a kill at any write', () => {
  const rotate = async (authorities: Authorities): Promise<void> => {
    const old = authorities.issuer().rootId;
    const next = await authorities.prepare(operator);
    await authorities.activate(operator, next.id, nobody, false);
    await authorities.retire(operator, old, false);
  };
  const writes = Array.from({ length: 14 }, (_, index) => index);

  test.for(writes)('(number %i) leaves one consistent state', async (fatal) => {
    for (const effect of ['lost', 'written'] as const) {
      const here = world();
      // The first start is a part of the story: a kill may fall into it too.
      const dying = new DyingWorld(here, fatal, effect);
      const life = async (): Promise<void> => rotate(await open(dying.world));
      await life().catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
      });

      const restarted = await open(here);
      const set = restarted.current();
      const active = set.authorities.filter(({ state }) => state === 'active');
      expect(active.map(({ tier }) => tier).toSorted()).toEqual(['issuing', 'root']);
      expect(restarted.issuer().rootId).toBe(activeRoot(set)?.id);
      expect(activeIssuing(set)?.parentId).toBe(activeRoot(set)?.id);
      // Whatever was left undone can be done now.
      const waiting = set.authorities.find(({ state }) => state === 'prepared');
      if (waiting !== undefined) await restarted.activate(operator, waiting.id, nobody, false);
      const drained = restarted
        .current()
        .authorities.find(({ tier, state }) => tier === 'root' && state === 'draining');
      if (drained !== undefined) await restarted.retire(operator, drained.id, false);
      await restarted.close();

      // Whatever is in the bundle was recorded.
      const recorded = new Set(
        here.audit.events.flatMap((event) =>
          event.type === 'authority.prepared' ? [event.authority.keyId] : [],
        ),
      );
      const roots = set.authorities.filter(({ tier }) => tier === 'root');
      expect(roots.filter(({ id }) => !recorded.has(id))).toEqual([]);
    }
  });
});

class Killed extends Error {}

/** The same store and log, which end at one write: it is lost, or written but never answered. */
class DyingWorld {
  readonly world: World;
  #write = 0;

  constructor(here: World, fatal: number, effect: 'lost' | 'written') {
    const around = async <T>(write: () => Promise<T>): Promise<T> => {
      const number = this.#write;
      this.#write += 1;
      if (number > fatal || (number === fatal && effect === 'lost')) throw new Killed();
      const result = await write();
      if (number === fatal) throw new Killed();
      return result;
    };
    const { store } = here;
    const audit = new RecordingAuditLog();
    audit.append = (event) => around(() => here.audit.append(event));
    this.world = {
      ...here,
      audit,
      store: {
        get: (key) => store.get(key),
        range: (request) => store.range(request),
        watch: (...given) => store.watch(...given),
        revision: () => store.revision(),
        close: () => Promise.resolve(),
        commit: (transaction) => around(() => store.commit(transaction)),
      },
    };
  }
}
