import { createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { silentLogger, systemRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import { openSerials } from '../issuance/serial.ts';
import { type Authorities, openAuthorities } from './authorities.ts';
import type { Propagation } from './evidence.ts';
import { createKeyStore } from './key-store.ts';
import type { Lifetimes } from './lifetimes.ts';
import { checkRotationPolicy, rotationPolicyOf } from './rotation-policy.ts';
import { activeRoot } from './slot.ts';

const second = 1000;
const lifetimes: Lifetimes = {
  rootMs: 400 * second,
  issuingMs: 100 * second,
  x509SvidMs: 10 * second,
  nodeSvidMs: 10 * second,
  backdateMs: 0,
};
const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };

class World {
  readonly clock = new ManualClock(Date.parse('2026-11-22T12:00:00Z'));
  readonly audit = new RecordingAuditLog();
  readonly store = new MemoryStore();
  readonly keyStore = createKeyStore(createSecretKey(randomBytes(32)), systemRandom);
  fleet: Propagation = { nodes: 2, nodesApplied: 1, subscribers: 4, acknowledged: 1 };

  async open(automatic = false): Promise<Authorities> {
    const serials = await openSerials(this.store, systemRandom);
    return openAuthorities({
      store: this.store,
      keyStore: this.keyStore,
      audit: this.audit,
      clock: this.clock,
      log: silentLogger,
      trustDomain: parseTrustDomain('mesh.test'),
      lifetimes,
      nextSerial: () => serials.next(),
      rotation: {
        policy: rotationPolicyOf({ automatic }, lifetimes),
        propagationOf: () => this.fleet,
      },
    });
  }

  async everybody(): Promise<void> {
    this.fleet = { nodes: 2, nodesApplied: 2, subscribers: 4, acknowledged: 4 };
    await this.clock.advance(second);
  }
}

function stateOf(authorities: Authorities, id: string): string | undefined {
  return authorities.current().authorities.find((each) => each.id === id)?.state;
}

test('a root is published when the evidence holds, by what was measured, and waits for its operator', async () => {
  const here = new World();
  const authorities = await here.open();
  const next = await authorities.prepare(operator);
  await here.clock.advance(second);
  expect(stateOf(authorities, next.id)).toBe('prepared');
  await here.everybody();
  await here.clock.advance(20 * second);
  expect(stateOf(authorities, next.id)).toBe('published');
  expect(here.audit.types()).toContain('authority.published');
  await authorities.close();
  const again = await here.open();
  const kept = again.current().authorities.find(({ id }) => id === next.id);
  expect(kept?.arrivals?.map(({ share }) => share)).toEqual([0.5, 0.9, 0.99, 1]);
  await again.close();
});

test('an automatic rotation begins at half life and goes to its end on evidence alone', async () => {
  const here = new World();
  const authorities = await here.open(true);
  const old = authorities.issuer().rootId;
  await here.clock.advance(205 * second);
  expect(authorities.issuer().rootId).toBe(old);
  expect(authorities.current().authorities.some(({ state }) => state === 'prepared')).toBe(true);
  await here.everybody();
  await here.clock.advance(2 * second);
  expect(authorities.issuer().rootId).not.toBe(old);
  await here.clock.advance(61 * second);
  expect(stateOf(authorities, old)).toBe('retired');
  await authorities.close();
});

describe('abort', () => {
  test('takes a waiting root out of the bundle, and no other', async () => {
    const authorities = await new World().open();
    const next = await authorities.prepare(operator);
    expect(authorities.trust.current().bundle.x509Authorities).toHaveLength(2);
    await authorities.abort(operator, next.id);
    expect(authorities.trust.current().bundle.x509Authorities).toHaveLength(1);
    const root = activeRoot(authorities.current());
    await expect(authorities.abort(operator, root?.id ?? '')).rejects.toMatchObject({
      code: 'authority_state',
    });
    await authorities.close();
  });
});

describe('taint', () => {
  test('of what issues replaces it in the same step, and tells everybody', async () => {
    const here = new World();
    const authorities = await here.open();
    const { id } = authorities.issuer();
    await authorities.taint(operator, id);
    expect(authorities.issuer().id).not.toBe(id);
    expect(authorities.trust.current().taintedKeyIds).toEqual([id]);
    await expect(authorities.taint(operator, id)).rejects.toMatchObject({
      code: 'authority_state',
    });
    await authorities.close();
  });

  test('of the active root needs a published one that takes over', async () => {
    const here = new World();
    const authorities = await here.open();
    const old = authorities.issuer();
    await expect(authorities.taint(operator, old.rootId)).rejects.toThrow(/no published root/);
    const next = await authorities.prepare(operator);
    await expect(authorities.taint(operator, old.rootId)).rejects.toThrow(/no published root/);
    await here.everybody();
    await authorities.taint(operator, old.rootId);
    expect(authorities.issuer().rootId).toBe(next.id);
    expect(authorities.trust.current().taintedKeyIds).toEqual([old.rootId]);
    await authorities.close();
  });
});

test('revoke drops what is tainted, and only with force what still has live leaves', async () => {
  const here = new World();
  const authorities = await here.open();
  const { id } = authorities.issuer();
  authorities.expectLeaf(id, here.clock.wallMs() + 10 * second);
  await expect(authorities.revoke(operator, id, true)).rejects.toThrow(/is not tainted/);
  await authorities.taint(operator, id);
  await expect(authorities.revoke(operator, id, false)).rejects.toMatchObject({
    code: 'authority_in_use',
  });
  await authorities.revoke(operator, id, true);
  expect(stateOf(authorities, id)).toBe('retired');
  expect(here.audit.events.at(-1)).toMatchObject({ type: 'authority.revoked', forced: true });
  await authorities.close();
});

describe('the arithmetic of a rotation', () => {
  test.for([
    [{}, undefined],
    [{ threshold: 0.9, deadline: 60 * second }, undefined],
    [{ deadline: 5 * second }, /deadline 5s is shorter than nodeSvid 10s/],
    [{ deadline: 300 * second }, /5m \+ the longest SVID 10s = 5m10s.*\/ 2 = 3m20s/],
    [{ deadline: 300 * second, automatic: false }, undefined],
    [{ threshold: 0 }, /threshold 0/],
  ] as const)('%j', ([given, reason]) => {
    const check = (): void => checkRotationPolicy(rotationPolicyOf(given, lifetimes), lifetimes);
    if (reason === undefined) check();
    else expect(check).toThrow(reason);
  });
});
