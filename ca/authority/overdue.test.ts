import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Logger, Scope, silentLogger, systemRandom } from '../../core/index.ts';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import type { Actor } from '../audit/event.ts';
import { createPrometheusMetrics } from '../metrics/prometheus-metrics.ts';
import { measureKeys } from '../metrics/key-metrics.ts';
import { openSerials } from '../issuance/serial.ts';
import { createKeyStore } from './key-store.ts';
import { defaultLifetimes } from './lifetimes.ts';
import { openKeys } from './open-keys.ts';
import { waitingRoot } from './slot.ts';

const minute = 60_000;
const operator: Actor = { kind: 'admin', id: 'uid:0 pid:1', uid: 0, pid: 1 };

/** The keys of a CA with two nodes, of which one says nothing until it is told to. */
async function setUp() {
  const clock = new ManualClock(Date.parse('2026-11-22T12:00:00Z'));
  const store = new MemoryStore();
  const lines: object[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (message, fields) => void lines.push({ message, ...fields }),
  };
  const fleet = { applied: 1 };
  const propagationOf = () => ({
    nodes: 2,
    nodesApplied: fleet.applied,
    subscribers: 0,
    acknowledged: 0,
  });
  const connected = { propagationOf, nodesOf: propagationOf, pushTimesOf: () => undefined };
  const serials = await openSerials(store, systemRandom);
  const scope = new Scope();
  const keys = await openKeys(
    {
      store,
      keyStore: createKeyStore(createSecretKey(randomBytes(32)), systemRandom),
      audit: new RecordingAuditLog(),
      clock,
      log,
      trustDomain: parseTrustDomain('mesh.test'),
      lifetimes: defaultLifetimes,
      policy: { threshold: 1, deadlineMs: 10 * minute, automatic: true },
      tokenMs: minute,
      connected,
      nextSerial: () => serials.next(),
    },
    scope,
  );
  const metrics = createPrometheusMetrics();
  measureKeys(metrics, { ...keys, connected });
  const measured = async (tier: string): Promise<string | undefined> =>
    new RegExp(`^signet_ca_rotation_overdue\\{tier="${tier}"\\} (\\d)$`, 'm').exec(
      await metrics.text(),
    )?.[1];
  return { ...keys, clock, lines, fleet, measured, scope };
}

test.for(['root', 'jwt'] as const)(
  'a %s that waits past the deadline is told once and measured, until the last node has it',
  async (tier) => {
    const { authorities, jwtKeys, clock, lines, fleet, measured, scope } = await setUp();
    const { id } = await (tier === 'root' ? authorities : jwtKeys).prepare(operator);
    await clock.advance(9 * minute);
    expect(lines).toEqual([]);
    expect(await measured(tier)).toBe('0');
    await clock.advance(2 * minute);
    expect(lines).toEqual([
      {
        message: 'a rotation is overdue',
        id,
        reason: expect.stringMatching(/applied by 1 of 2 nodes .* 10m after it was prepared/),
        remedy: expect.stringContaining('evict nodes that are gone'),
      },
    ]);
    expect(await measured(tier)).toBe('1');
    expect(await measured(tier === 'root' ? 'jwt' : 'root')).toBe('0');
    await clock.advance(10 * minute);
    expect(lines).toHaveLength(1);
    fleet.applied = 2;
    await clock.advance(1000);
    expect(await measured(tier)).toBe('0');
    await scope.close();
  },
);

test('a root that the CA began is overdue too when somebody came after it was published', async () => {
  const { authorities, clock, lines, fleet, scope } = await setUp();
  fleet.applied = 2;
  clock.jump(defaultLifetimes.rootMs / 2 + minute);
  fleet.applied = 1;
  await clock.advance(20_000);
  const begun = waitingRoot(authorities.current());
  expect(begun).toMatchObject({ state: 'prepared', isAutomatic: true });
  await clock.advance(11 * minute);
  expect(lines).toContainEqual(expect.objectContaining({ id: begun?.id }));
  await scope.close();
});
