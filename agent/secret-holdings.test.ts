import { expect, test } from 'vitest';
import { SecretHoldingState } from '../api/index.ts';
import type { SdsClient, SecretStanding } from '../sds-server/index.ts';
import { secretHoldingsOf } from './secret-holdings.ts';

const standing = (changes: Partial<SecretStanding>): SecretStanding => ({
  name: 'default',
  version: 'v1',
  state: 'acknowledged',
  sinceMs: 5,
  authorityKeyIds: ['aa', 'bb'],
  ...changes,
});
const client = (connection: string, ...names: SecretStanding[]): SdsClient => ({
  streamId: connection,
  connection,
  peer: { kind: 'process', pid: 1, uid: 0 },
  protocol: 'state_of_the_world',
  openedMs: 0,
  waiting: [],
  names,
});
const who = ({ connection }: SdsClient): string => `spiffe://mesh.test/${connection}`;
const { SECRET_HOLDING_STATE_ACKNOWLEDGED: acknowledged, SECRET_HOLDING_STATE_REFUSED: refused } =
  SecretHoldingState;

test('the streams of one identity that stand alike are told together, since the first of them', () => {
  const { holdings, leftOut } = secretHoldingsOf(
    [
      client('web', standing({ sinceMs: 9 }), standing({ name: 'ROOTCA', state: 'refused' })),
      client('web', standing({ sinceMs: 7 })),
      client('db', standing({ sinceMs: 8 })),
    ],
    who,
  );
  const web = { spiffeId: 'spiffe://mesh.test/web', secretVersion: 'v1' };
  expect(leftOut).toBe(0);
  expect(holdings).toEqual([
    { ...web, name: 'ROOTCA', state: refused, clients: 1, sinceMs: 5n },
    { ...web, name: 'default', state: acknowledged, clients: 2, sinceMs: 7n },
    {
      ...web,
      spiffeId: 'spiffe://mesh.test/db',
      name: 'default',
      state: acknowledged,
      clients: 1,
      sinceMs: 8n,
    },
  ]);
});

test('a hundred are told, those that refuse among them, and how many others there are', () => {
  const many = Array.from({ length: 300 }, (_, index) => client(`w${index}`, standing({})));
  const last = client('last', standing({ state: 'refused', sinceMs: 99 }));
  const { holdings, leftOut } = secretHoldingsOf([...many, last], who);
  expect(holdings).toHaveLength(100);
  expect(holdings[0]).toMatchObject({ spiffeId: 'spiffe://mesh.test/last', state: refused });
  expect(leftOut).toBe(201);
});
