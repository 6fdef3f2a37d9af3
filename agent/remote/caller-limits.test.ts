import { expect, test } from 'vitest';
import type { Caller } from '../../rpc/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { CallerLimits } from './caller-limits.ts';

const bounds = {
  connections: 10,
  connectionsPerCaller: 2,
  streamsPerCaller: 1,
  requestsPerSecondPerCaller: 1,
  requestsPerSecond: 2,
};

const callerOf = (identity: string | undefined): Caller => ({
  kind: 'tls',
  connection: 'connection-1',
  address: '192.0.2.1:1',
  identity,
  leaf: undefined,
  closed: new AbortController().signal,
  disconnect() {},
});

test('a caller over its rate is refused with a hint, takes nothing of the others, and is served after it', async () => {
  const clock = new ManualClock(0);
  const limits = new CallerLimits(bounds, clock);
  const [greedy, honest] = [callerOf('spiffe://a.test/x'), callerOf('spiffe://a.test/y')];
  for (let at = 0; at < 4; at += 1) limits.request(greedy);
  for (let at = 0; at < 20; at += 1) {
    expect(() => limits.request(greedy)).toThrow(
      expect.objectContaining({ code: 'sds_rate', kind: 'resource_exhausted', retryAfterMs: 1000 }),
    );
  }
  for (let at = 0; at < 4; at += 1) limits.request(honest);
  await clock.advance(1000);
  limits.request(greedy);
});

test('all together have a bound too', () => {
  const limits = new CallerLimits(bounds, new ManualClock(0));
  for (let at = 0; at < 8; at += 1) limits.request(callerOf(`spiffe://a.test/${at}`));
  expect(() => limits.request(callerOf('spiffe://a.test/late'))).toThrow(
    expect.objectContaining({ code: 'sds_rate_total', retryAfterMs: 500 }),
  );
});

test('streams and connections count while they last', () => {
  const limits = new CallerLimits(bounds, new ManualClock(0));
  const caller = callerOf('spiffe://a.test/x');
  const first = new AbortController();
  limits.stream(caller, first.signal);
  const refused = expect.objectContaining({ code: 'sds_streams' });
  expect(() => limits.stream(caller, first.signal)).toThrow(refused);
  first.abort();
  limits.stream(caller, new AbortController().signal);

  const connections = [1, 2].map(() => new AbortController());
  for (const { signal } of connections)
    expect(limits.connect('spiffe://a.test/x', signal)).toBe(true);
  expect(limits.connect('spiffe://a.test/x', new AbortController().signal)).toBe(false);
  connections[0]?.abort();
  expect(limits.connect('spiffe://a.test/x', new AbortController().signal)).toBe(true);
});

test('who has shown no certificate is nobody', () => {
  const limits = new CallerLimits(bounds, new ManualClock(0));
  expect(() => limits.request(callerOf(undefined))).toThrow(
    expect.objectContaining({ kind: 'unauthenticated' }),
  );
});
