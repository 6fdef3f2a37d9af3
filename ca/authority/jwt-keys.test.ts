import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { verifySignature } from '../../pki/index.ts';
import type { Store } from '../store/store.ts';
import { openJwtKeys, type RotatingJwtKeys } from './jwt-keys.ts';
import { createKeyStore } from './key-store.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const lifeMs = 80_000;

interface World {
  readonly store: Store;
  readonly audit: RecordingAuditLog;
  readonly clock: ManualClock;
  readonly kek: Buffer;
  arrived: boolean;
}

function world(): World {
  return {
    store: new MemoryStore(),
    audit: new RecordingAuditLog(),
    clock: new ManualClock(startMs),
    kek: randomBytes(32),
    arrived: true,
  };
}

function open(here: World): Promise<RotatingJwtKeys> {
  return openJwtKeys({
    ...here,
    keyStore: createKeyStore(createSecretKey(here.kek), systemRandom),
    log: silentLogger,
    lifeMs,
    hasArrived: () => here.arrived,
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

test('the next key is published before it signs, and the one before stays until its end', async () => {
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
  await here.clock.advance(24_000);
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
