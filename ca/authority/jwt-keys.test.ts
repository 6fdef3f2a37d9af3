import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { dyingWrites, Killed } from '../../test/fakes/dying-writes.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { verifySignature } from '../../pki/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { Actor } from '../audit/event.ts';
import type { Store } from '../store/store.ts';
import { openJwtKeys, type RotatingJwtKeys } from './jwt-keys.ts';
import { createKeyStore } from './key-store.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const lifeMs = 80_000;
const tokenMs = 10_000;
const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };

interface World {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly clock: ManualClock;
  readonly kek: Buffer;
  arrived: boolean;
  automatic: boolean;
}

function world(): World & { readonly audit: RecordingAuditLog } {
  return {
    store: new MemoryStore(),
    audit: new RecordingAuditLog(),
    clock: new ManualClock(startMs),
    kek: randomBytes(32),
    arrived: true,
    automatic: true,
  };
}

function open(here: World): Promise<RotatingJwtKeys> {
  return openJwtKeys({
    ...here,
    keyStore: createKeyStore(createSecretKey(here.kek), systemRandom),
    log: silentLogger,
    lifeMs,
    tokenMs,
    policy: { threshold: 1, deadlineMs: 3_600_000, automatic: here.automatic },
    propagationOf: () => ({
      nodes: 2,
      nodesApplied: here.arrived ? 2 : 1,
      subscribers: 0,
      acknowledged: 0,
    }),
  });
}

function states(keys: RotatingJwtKeys): string[] {
  return keys.list().map(({ state }) => state);
}

test('a first start begins a key, recorded, in the bundle, and able to sign', async () => {
  const here = world();
  const keys = await open(here);
  const { kid, signer } = keys.current();
  expect(here.audit.types()).toEqual(['jwt_key.prepared', 'jwt_key.activated']);
  const { authorities, sequence } = keys.published.current();
  expect(authorities.map(({ keyId }) => keyId)).toEqual([kid]);
  expect(sequence).toBe(1n);
  const bytes = Buffer.from('header.payload');
  const signature = await signer.sign(bytes);
  const [authority] = authorities;
  if (authority === undefined) throw new Error('no key');
  expect(verifySignature('ecdsa-sha256', authority.publicKey, bytes, signature)).toBe(true);
  await keys.close();
});

test('the next key is published before it signs, and the one before stays while a token lives', async () => {
  const here = world();
  here.arrived = false;
  const keys = await open(here);
  const first = keys.current().kid;
  await here.clock.advance(45_000);
  expect(states(keys)).toEqual(['active', 'prepared']);
  expect(keys.published.current().authorities).toHaveLength(2);
  expect(keys.current().kid).toBe(first);
  here.arrived = true;
  await here.clock.advance(2000);
  expect(states(keys)).toEqual(['active', 'published']);
  // An eighth of its life, for verifiers that only poll.
  await here.clock.advance(11_000);
  expect(states(keys)).toEqual(['draining', 'active']);
  expect(keys.current().kid).not.toBe(first);
  expect(keys.published.current().authorities).toHaveLength(2);
  await here.clock.advance(12_000);
  expect(states(keys)[0]).toBe('active');
  expect(keys.list().some(({ id }) => id === first)).toBe(false);
  await keys.close();
});

test('a key that nobody acknowledges signs only when the one before has ended', async () => {
  const here = world();
  here.arrived = false;
  const keys = await open(here);
  const first = keys.current().kid;
  await here.clock.advance(79_000);
  expect(keys.current().kid).toBe(first);
  await here.clock.advance(2500);
  expect(keys.current().kid).not.toBe(first);
  await keys.close();
});

test('the keys are the same after a restart, and sealed in the store', async () => {
  const here = world();
  const before = await open(here);
  const { kid } = before.current();
  await before.close();
  const item = await here.store.get('settings/jwt-keys');
  const sealed = /"sealedKey":"([^"]+)"/.exec(Buffer.from(item?.value ?? []).toString())?.[1] ?? '';
  // PKCS#8 of a P-256 key holds these bytes: version 1, then an octet string of 32.
  expect(Buffer.from(sealed, 'base64').includes(Buffer.from('0201010420', 'hex'))).toBe(false);
  expect(sealed.length).toBeGreaterThan(100);
  const after = await open(here);
  expect(after.current().kid).toBe(kid);
  await after.close();
  await expect(open({ ...here, kek: randomBytes(32) })).rejects.toMatchObject({
    code: 'authority_record_invalid',
  });
});

test('after a long sleep a fresh key signs and the ended one is gone', async () => {
  const here = world();
  await (await open(here)).close();
  await here.clock.advance(10 * lifeMs);
  const keys = await open(here);
  expect(states(keys)).toEqual(['active']);
  await keys.close();
});

describe('a failing audit log', () => {
  test('stops the step, and the step is taken when it is back', async () => {
    const here = world();
    const keys = await open(here);
    here.audit.failing = true;
    await here.clock.advance(45_000);
    expect(states(keys)).toEqual(['active']);
    here.audit.failing = false;
    await here.clock.advance(6000);
    expect(states(keys)).toHaveLength(2);
    await keys.close();
  });
});

test('with automatic rotation off nothing is prepared, and only an ended key is replaced', async () => {
  const here = world();
  here.automatic = false;
  const keys = await open(here);
  const first = keys.current().kid;
  await here.clock.advance(79_000);
  expect(states(keys)).toEqual(['active']);
  expect(keys.current().kid).toBe(first);
  await here.clock.advance(2000);
  expect(keys.current().kid).not.toBe(first);
  await keys.close();
});

describe('by hand', () => {
  test('a key is rotated on evidence, waits for its operator, and stays while a token lives', async () => {
    const here = world();
    here.arrived = false;
    const keys = await open(here);
    const first = keys.current().kid;
    const next = await keys.prepare(operator);
    await expect(keys.prepare(operator)).rejects.toMatchObject({ code: 'authority_state' });
    await here.clock.advance(1000);
    await expect(keys.activate(operator, next.id, false)).rejects.toThrow(
      /applied by 1 of 2 nodes/,
    );
    here.arrived = true;
    await here.clock.advance(1000);
    expect(states(keys)).toEqual(['active', 'published']);
    await expect(keys.activate(operator, next.id, false)).rejects.toThrow(/verifiers that poll/);
    await here.clock.advance(15_000);
    expect(keys.current().kid).toBe(first);
    await keys.activate(operator, next.id, false);
    expect(keys.current().kid).toBe(next.id);
    await expect(keys.retire(operator, next.id, true)).rejects.toMatchObject({
      code: 'authority_state',
    });
    await expect(keys.retire(operator, first, false)).rejects.toMatchObject({
      code: 'authority_in_use',
      message: expect.stringMatching(/in 11s/),
    });
    await here.clock.advance(11_000);
    expect(keys.list().map(({ id }) => id)).toEqual([next.id]);
    expect(here.audit.types().slice(2)).toEqual([
      'jwt_key.prepared',
      'jwt_key.published',
      'jwt_key.activated',
      'jwt_key.retired',
    ]);
    expect(here.audit.events[3]).toMatchObject({
      evidence: { nodes: 2, nodesApplied: 2, threshold: 1 },
    });
    await keys.close();
  });

  test('force goes on without the evidence, and the record says so', async () => {
    const here = world();
    here.arrived = false;
    const keys = await open(here);
    const first = keys.current().kid;
    const next = await keys.prepare(operator);
    await keys.activate(operator, next.id, true);
    await keys.retire(operator, first, true);
    expect(keys.list().map(({ id }) => id)).toEqual([next.id]);
    expect(here.audit.events.slice(-2)).toMatchObject([
      { type: 'jwt_key.activated', forced: true, actor: operator, evidence: { nodesApplied: 1 } },
      { type: 'jwt_key.retired', forced: true, actor: operator },
    ]);
    await keys.close();
  });

  test('abort takes back a key that has signed nothing, and no other', async () => {
    const keys = await open(world());
    const first = keys.current().kid;
    const next = await keys.prepare(operator);
    await expect(keys.abort(operator, first)).rejects.toMatchObject({ code: 'authority_state' });
    await keys.abort(operator, next.id);
    expect(keys.list().map(({ id }) => id)).toEqual([first]);
    await keys.close();
  });
});

describe('a tainted key', () => {
  test('signs nothing from then on; a fresh one does as soon as the nodes have it', async () => {
    const here = world();
    here.arrived = false;
    const keys = await open(here);
    const { kid } = keys.current();
    await keys.taint(operator, kid);
    expect(() => keys.current()).toThrow(/no key signs JWT-SVIDs/);
    await expect(keys.taint(operator, kid)).rejects.toMatchObject({ code: 'authority_state' });
    expect(keys.published.current().taintedIds).toEqual([kid]);
    expect(states(keys)).toEqual(['draining', 'prepared']);
    // Only evidence brings it in; a restart changes nothing of that.
    await here.clock.advance(2000);
    expect(() => keys.current()).toThrow(/no key signs JWT-SVIDs/);
    await keys.close();
    const again = await open(here);
    expect(() => again.current()).toThrow(/no key signs JWT-SVIDs/);
    here.arrived = true;
    await here.clock.advance(1000);
    expect(again.current().kid).not.toBe(kid);
    await again.close();
  });

  test('is replaced in the same step by one that is published', async () => {
    const here = world();
    const keys = await open(here);
    const { kid } = keys.current();
    const next = await keys.prepare(operator);
    await here.clock.advance(1000);
    expect(states(keys)).toEqual(['active', 'published']);
    await keys.taint(operator, kid);
    expect(keys.current().kid).toBe(next.id);
    await keys.close();
  });

  test('is revoked out of the bundle: by force while a token lives, and not untainted', async () => {
    const here = world();
    const keys = await open(here);
    const { kid } = keys.current();
    await expect(keys.revoke(operator, kid, true)).rejects.toThrow(/not tainted/);
    await keys.taint(operator, kid);
    await expect(keys.revoke(operator, kid, false)).rejects.toMatchObject({
      code: 'authority_in_use',
    });
    await keys.revoke(operator, kid, true);
    const { authorities } = keys.published.current();
    expect(authorities.map(({ keyId }) => keyId)).not.toContain(kid);
    expect(here.audit.events.filter(({ type }) => /taint|revok/.test(type))).toMatchObject([
      { type: 'jwt_key.tainted', actor: operator, authority: { keyId: kid } },
      { type: 'jwt_key.revoked', actor: operator, authority: { keyId: kid }, forced: true },
    ]);
    await keys.close();
  });
});

test('what is minted while a key stops signing does not outlive what is stored of it', async () => {
  const here = world();
  const keys = await open(here);
  const first = keys.current();
  await keys.prepare(operator);
  await here.clock.advance(1000);
  const seen: number[] = [];
  here.audit.onAppend = () => {
    const { kid, notAfterMs } = keys.current();
    if (kid === first.kid) seen.push(notAfterMs);
  };
  await keys.taint(operator, first.kid);
  const [old] = keys.list();
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.every((endMs) => endMs === old?.lastTokenNotAfterMs)).toBe(true);
  expect(old?.lastTokenNotAfterMs).toBe(here.clock.wallMs() + tokenMs);
  await keys.close();
});

describe('a kill at any write', () => {
  const rotate = async (keys: RotatingJwtKeys, { clock }: World): Promise<void> => {
    const first = keys.current().kid;
    const next = await keys.prepare(operator);
    await clock.advance(1000);
    await keys.activate(operator, next.id, true);
    await keys.retire(operator, first, true);
    await keys.taint(operator, next.id);
    await clock.advance(1000);
    await keys.revoke(operator, next.id, true);
  };

  test.for(Array.from({ length: 20 }, (_, index) => index))(
    '(number %i) leaves one key that signs, and no deed without a record',
    async (fatal) => {
      for (const effect of ['lost', 'written'] as const) {
        const here = world();
        here.automatic = false;
        const dying = { ...here, ...dyingWrites(here, fatal, effect) };
        const life = async (): Promise<void> => rotate(await open(dying), here);
        await life().catch((error: unknown) => {
          if (!(error instanceof Killed)) throw error;
        });

        const restarted = await open(here);
        const waiting = restarted.list().find(({ state }) => /prepared|published/.test(state));
        if (waiting !== undefined) await restarted.activate(operator, waiting.id, true);
        // Every token has ended by then, and with it every key that once signed.
        await here.clock.advance(tokenMs + 2000);
        expect(states(restarted)).toEqual(['active']);
        expect(restarted.current().kid).toBe(restarted.list()[0]?.id);
        const recorded = here.audit.events.flatMap((event) =>
          event.type === 'jwt_key.prepared' ? [event.authority.keyId] : [],
        );
        expect(recorded).toContain(restarted.current().kid);
        await restarted.close();
      }
    },
  );
});
