import { expect, test } from 'vitest';
import { type SecretHolding, SecretHoldingState } from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { boundedHoldings, fleetHoldings } from './secret-holdings.ts';

const a = parseSpiffeId('spiffe://mesh.test/signet/node/a');
const b = parseSpiffeId('spiffe://mesh.test/signet/node/b');
const holding = (changes: Partial<SecretHolding> = {}): SecretHolding => ({
  spiffeId: 'spiffe://mesh.test/web',
  name: 'default',
  secretVersion: 'v1',
  state: SecretHoldingState.SECRET_HOLDING_STATE_ACKNOWLEDGED,
  clients: 1,
  sinceMs: 7n,
  ...changes,
});
const refused = { state: SecretHoldingState.SECRET_HOLDING_STATE_REFUSED };
const all = () => true;

test('who refuses comes first, then who has theirs for longest, of all nodes', () => {
  const { holdings, more } = fleetHoldings(
    [
      [a, { holdings: [holding({ sinceMs: 9n }), holding({ sinceMs: 8n })], leftOut: 3 }],
      [b, { holdings: [holding({ ...refused, sinceMs: 10n })], leftOut: 0 }],
    ],
    all,
  );
  expect(holdings.map(({ nodeId, state, sinceMs }) => [nodeId, state, sinceMs])).toEqual([
    [b, 'refused', 10],
    [a, 'acknowledged', 8],
    [a, 'acknowledged', 9],
  ]);
  expect(more).toBe(3);
});

test('a node, or an identity, may be asked for alone', () => {
  const db = holding({ spiffeId: 'spiffe://mesh.test/db' });
  const nodes = [
    [a, { holdings: [holding(), db], leftOut: 1 }],
    [b, { holdings: [holding()], leftOut: 5 }],
  ] as const;
  const ofNode = fleetHoldings(nodes, (nodeId) => nodeId === a);
  expect([ofNode.holdings.length, ofNode.more]).toEqual([2, 1]);
  const ofIdentity = fleetHoldings(nodes, (_, spiffeId) => spiffeId === db.spiffeId);
  expect(ofIdentity.holdings).toMatchObject([{ nodeId: a, spiffeId: db.spiffeId }]);
});

test('of a large fleet the first hundred are told, and how many there are', () => {
  const holdings = Array.from({ length: 100 }, () => holding({ sinceMs: 100n }));
  const nodes = Array.from({ length: 500 }, () => [a, { holdings, leftOut: 0 }] as const);
  const found = fleetHoldings([...nodes, [b, { holdings: [holding()], leftOut: 0 }]], all);
  expect(found.holdings).toHaveLength(100);
  expect(found.holdings[0]).toMatchObject({ nodeId: b, sinceMs: 7 });
  expect(found.more).toBe(49_901);
});

test('what one node may tell is bounded, and a state that nobody knows is none', () => {
  const long = holding({ name: 'n'.repeat(9999), secretVersion: 'v'.repeat(9999) });
  const holdings = Array.from({ length: 1000 }, () => long);
  const bounded = boundedHoldings({ holdings, leftOut: 4_000_000_000 });
  expect(bounded.holdings).toHaveLength(100);
  expect(bounded.holdings[0]?.name).toHaveLength(2048);
  expect(bounded.holdings[0]?.secretVersion).toHaveLength(128);
  expect(bounded.leftOut).toBe(100_000);
  const odd = holding({ state: SecretHoldingState.UNRECOGNIZED });
  expect(
    fleetHoldings([[a, { holdings: [odd, holding()], leftOut: 0 }]], all).holdings,
  ).toHaveLength(1);
});
