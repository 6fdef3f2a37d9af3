import { expect, test } from 'vitest';
import type { SdsClient, SecretStanding } from '../sds-server/index.ts';
import { ManualClock } from '../test/fakes/manual-clock.ts';
import { followSecrets, secretReportsOf } from './secret-reports.ts';

let streams = 0;
function client(...names: Partial<SecretStanding>[]): SdsClient {
  streams += 1;
  return {
    streamId: String(streams),
    connection: 'c',
    peer: { kind: 'process', pid: 1, uid: 0 },
    protocol: 'state_of_the_world',
    openedMs: 0,
    waiting: [],
    names: names.map((name) => ({
      name: 'default',
      version: 'v1',
      state: 'acknowledged',
      sinceMs: 5,
      authorityKeyIds: ['aa'],
      ...name,
    })),
  };
}
const who = (): string => 'spiffe://mesh.test/web';

test('clients are counted by authority and version, refusals with their words', () => {
  const reports = secretReportsOf(
    [
      client({}, { name: 'ROOTCA', version: 'b', authorityKeyIds: ['aa', 'bb'] }),
      client({ state: 'sent' }),
      client({ state: 'refused', error: 'e'.repeat(600) }),
      client({ name: 'db', version: '3', authorityKeyIds: [] }),
    ],
    who,
  );
  const counts = { acknowledged: 1, refused: 0, waiting: 0, refusals: [] };
  const [refused, ...others] = reports;
  expect(refused).toEqual({
    authorityKeyId: 'aa',
    secretVersion: 'v1',
    acknowledged: 1,
    refused: 1,
    waiting: 1,
    refusals: [{ spiffeId: who(), name: 'default', error: 'e'.repeat(512), sinceMs: 5n }],
  });
  expect(others).toHaveLength(3);
  expect(others).toEqual(
    expect.arrayContaining([
      { authorityKeyId: 'aa', secretVersion: 'b', ...counts },
      { authorityKeyId: 'bb', secretVersion: 'b', ...counts },
      { authorityKeyId: '', secretVersion: '3', ...counts },
    ]),
  );
});

test('beyond the bound nothing is lost but the versions, and those that refuse are told first', () => {
  const many = Array.from({ length: 1000 }, (_, index) => client({ version: `v${index}` }));
  const reports = secretReportsOf([...many, client({ version: 'bad', state: 'refused' })], who);
  expect(reports.length).toBeLessThanOrEqual(256);
  expect(reports[0]).toMatchObject({ secretVersion: 'bad', refused: 1 });
  const total = reports.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  expect(total).toBe(1000);
  expect(reports.at(-1)).toMatchObject({ authorityKeyId: 'aa', secretVersion: '' });
});

test('of one version at most twenty refusals go', () => {
  const all = Array.from({ length: 30 }, () => client({ state: 'refused', error: 'no' }));
  const [report] = secretReportsOf(all, who);
  expect(report?.refused).toBe(30);
  expect(report?.refusals).toHaveLength(20);
});

test('a storm of acknowledgements is one report, and what reads the same is none', async () => {
  const clock = new ManualClock(0);
  let now: SdsClient[] = [];
  let tell: (streamId: string) => void = () => {};
  const reports = followSecrets({
    clients: {
      snapshot: () => now,
      get: () => undefined,
      subscribe: (listener) => {
        tell = listener;
        return () => {};
      },
    },
    spiffeIdOf: who,
    clock,
  });
  now = [client(), client({})];
  for (let index = 0; index < 100; index += 1) tell('x');
  await clock.advance(100);
  expect(reports.changes.current()).toBe(1);
  expect(reports.current()).toMatchObject([{ acknowledged: 1 }]);
  now = [client({})];
  tell('x');
  await clock.advance(2000);
  expect(reports.changes.current()).toBe(1);
  now = [client({ state: 'refused' })];
  tell('x');
  await clock.advance(2000);
  expect(reports.changes.current()).toBe(2);
});
