import { expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import type { DialFailure, DialOutcome } from '../net/dialer.ts';
import { EndpointHealth } from './endpoint-health.ts';

const failed = (code: DialFailure): DialOutcome => ({ kind: 'failed', code, detail: '' });

function health(): { clock: ManualClock; endpoint: EndpointHealth } {
  const clock = new ManualClock(0);
  const deps = { clock, random: seededRandom(1) };
  return { clock, endpoint: new EndpointHealth({ dialMsMax: 10_000 }, deps) };
}

test.for(['connect', 'timeout', 'tls', 'peer_refused'] as const)(
  'after %s it is passed over for a while, then one may try',
  async (code) => {
    const { clock, endpoint } = health();
    expect(endpoint.mayTry()).toBe(true);
    endpoint.onDialed(failed(code));
    expect(endpoint.mayTry()).toBe(false);
    await clock.advance(1000);
    expect([endpoint.mayTry(), endpoint.mayTry()]).toEqual([true, false]);
    // It fails again, and is passed over for longer.
    endpoint.onDialed(failed(code));
    await clock.advance(900);
    expect(endpoint.mayTry()).toBe(false);
    for (let times = 0; times < 20; times += 1) {
      await clock.advance(30_000);
      expect([endpoint.mayTry(), endpoint.mayTry()]).toEqual([true, false]);
      endpoint.onDialed(failed(code));
      expect(endpoint.mayTry()).toBe(false);
    }
  },
);

test('dials that fail together are one failure, and it is passed over no longer for them', async () => {
  const { clock, endpoint } = health();
  for (let times = 0; times < 20; times += 1) endpoint.onDialed(failed('connect'));
  expect(endpoint.mayTry()).toBe(false);
  await clock.advance(1000);
  expect(endpoint.mayTry()).toBe(true);
});

test('it is like any other once it has been connected to, or used for as long as a dial takes', async () => {
  const { clock, endpoint } = health();
  endpoint.onDialed(failed('connect'));
  await clock.advance(1000);
  expect(endpoint.mayTry()).toBe(true);
  await clock.advance(10_000);
  expect([endpoint.mayTry(), endpoint.mayTry()]).toEqual([true, true]);
});

test('what is no fault of the endpoint is not held against it', () => {
  const { endpoint } = health();
  endpoint.onDialed(failed('tls_not_ready'));
  expect(endpoint.mayTry()).toBe(true);
});
