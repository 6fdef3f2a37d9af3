/** What both pools tell those who wait when dials fail, over a dialer that fails when the test says so. */

import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { Deadlines } from '../net/deadlines.ts';
import type { Dialer, DialOutcome } from '../net/dialer.ts';
import { createPoolStats } from '../proxy/stats.ts';
import type { Pool, PoolWaiter } from './pool.ts';
import { createPool } from './create-pool.ts';
import { http1Protocol } from './http1-protocol.ts';
import { http2Protocol } from './http2-protocol.ts';

class Waiter implements PoolWaiter {
  told: string | undefined;
  onConnection(): void {}
  onNoConnection(code: string): void {
    this.told = code;
  }
}

/** A pool, and the dials that it has begun and not heard of yet. */
function poolOf(
  kind: 'ping-pong' | 'multiplex',
  connectionsMax: number,
): { pool: Pool; dials: ((outcome: DialOutcome) => void)[] } {
  const clock = new ManualClock(0);
  const dials: ((outcome: DialOutcome) => void)[] = [];
  const dialer: Dialer = { dial: (_endpoint, done) => dials.push(done), generation: () => 0 };
  const options = {
    endpoint: { host: '127.0.0.1', port: 1 },
    connectionsMax,
    timeouts: { responseMs: 1000, idleMs: 1000 },
    waitMsMax: 1000,
  };
  const deps = { clock, deadlines: new Deadlines(clock), dialer, stats: createPoolStats() };
  const protocol = kind === 'multiplex' ? http2Protocol : http1Protocol;
  return { pool: createPool(protocol, options, deps), dials };
}

function waiters(pool: Pool, count: number): Waiter[] {
  return Array.from({ length: count }, () => {
    const waiter = new Waiter();
    pool.acquire(waiter, false);
    return waiter;
  });
}

const told = (all: readonly Waiter[]): (string | undefined)[] => all.map((each) => each.told);
const gone: DialOutcome = { kind: 'failed', code: 'connect', detail: 'gone' };

describe.for(['ping-pong', 'multiplex'] as const)('a %s pool', (kind) => {
  test('tells all who wait when its last dial fails, and dials again for the next', () => {
    const { pool, dials } = poolOf(kind, 1);
    const all = waiters(pool, 10);
    expect(dials).toHaveLength(1);
    dials[0]?.(gone);
    expect(told(all)).toEqual(Array.from({ length: 10 }, () => 'connect'));
    waiters(pool, 1);
    expect(dials).toHaveLength(2);
  });

  test('refuses who waits when it is closed, and whoever comes then', () => {
    const { pool, dials } = poolOf(kind, 1);
    const early = waiters(pool, 3);
    pool.close();
    expect(told(early)).toEqual(['closed', 'closed', 'closed']);
    expect(told(waiters(pool, 1))).toEqual(['closed']);
    dials[0]?.(gone);
    expect(dials).toHaveLength(1);
  });
});

test('one failure among several dials is told to one, since the others may do better', () => {
  const { pool, dials } = poolOf('ping-pong', 2);
  const all = waiters(pool, 10);
  expect(dials).toHaveLength(2);
  dials[0]?.(gone);
  expect(told(all).filter((each) => each !== undefined)).toHaveLength(1);
  for (let at = 1; at < dials.length; at += 1) dials[at]?.(gone);
  expect(told(all)).not.toContain(undefined);
});
