import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { arrivedShare } from '../authority/evidence.ts';
import { ConnectedNodes } from './connected-nodes.ts';

const a = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/a');
const b = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/b');
const old = 'aa';
const next = 'bb';
const both = new Set([old, next]);

function report(
  authorityKeyId: string,
  subscribers: number,
  acknowledged: number,
): { authorityKeyId: string; subscribers: number; acknowledged: number } {
  return { authorityKeyId, subscribers, acknowledged };
}

test('nobody is connected, so nobody is missing', () => {
  const nodes = new ConnectedNodes(new ManualClock(0));
  expect(nodes.propagationOf(next)).toMatchObject({
    nodes: 0,
    nodesApplied: 0,
    subscribers: 0,
    acknowledged: 0,
  });
});

describe('a node has applied a root', () => {
  test('when it acknowledges a state that held it, and not before', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const node = nodes.open(a);
    node.sent(5n, new Set([old]));
    node.reported(5n, [], 'v1');
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1, nodesApplied: 0 });
    node.sent(6n, both);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1, nodesApplied: 0 });
    node.reported(6n, [], '');
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1, nodesApplied: 1 });
    expect(node).toMatchObject({ appliedRevision: 6n, agentVersion: 'v1' });
  });

  test('not when it names a revision that this stream never sent', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const node = nodes.open(a);
    node.sent(6n, both);
    node.reported(7n, [], '');
    node.reported(2n ** 63n, [], '');
    expect(nodes.propagationOf(next)).toMatchObject({ nodesApplied: 0 });
  });

  test('no more when a newer state that it applied lacks it', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const node = nodes.open(a);
    node.sent(6n, both);
    node.sent(7n, new Set([next]));
    node.reported(7n, [], '');
    expect(nodes.propagationOf(old)).toMatchObject({ nodesApplied: 0 });
    expect(nodes.propagationOf(next)).toMatchObject({ nodesApplied: 1 });
  });
});

describe('subscribers', () => {
  test('are summed over nodes', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    nodes.open(a).reported(0n, [report(old, 3, 3), report(next, 3, 1)], '');
    nodes.open(b).reported(0n, [report(next, 2, 2)], '');
    expect(nodes.propagationOf(next)).toMatchObject({ subscribers: 5, acknowledged: 3 });
  });

  test('of a node that does not report on a root have not acknowledged it', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    nodes.open(a).reported(0n, [report(old, 3, 3)], '');
    expect(nodes.propagationOf(next)).toMatchObject({ subscribers: 3, acknowledged: 0 });
  });

  test('claimed beyond their number make up for nobody', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    nodes.open(a).reported(0n, [report(next, 1, 1_000_000)], '');
    nodes.open(b).reported(0n, [report(next, 3, 0)], '');
    expect(nodes.propagationOf(next)).toMatchObject({ subscribers: 4, acknowledged: 1 });
  });

  test.for([
    { name: 'all is well', acknowledged: 2 ** 32 - 1, others: 0, share: 0.5 },
    { name: 'nothing is', acknowledged: 0, others: 3, share: 0.5 },
  ])('of one node that says $name of far too many weigh as one node', (given) => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    for (const [id, said] of [
      [a, report(next, 2 ** 32 - 1, given.acknowledged)],
      [b, report(next, 3, given.others)],
    ] as const) {
      const node = nodes.open(id);
      node.sent(1n, both);
      node.reported(1n, [said], '');
    }
    const propagation = nodes.propagationOf(next);
    expect(arrivedShare(propagation)).toBe(given.share);
    expect(propagation.subscribers).toBeLessThanOrEqual(10_003);
  });

  test('are those of the newest picture', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const node = nodes.open(a);
    node.reported(0n, [report(next, 3, 0)], '');
    node.reported(0n, [report(next, 2, 2)], '');
    expect(nodes.propagationOf(next)).toMatchObject({ subscribers: 2, acknowledged: 2 });
  });
});

describe('a node that was just here', () => {
  test('counts until its certificate has ended, as it stood when it left', async () => {
    const clock = new ManualClock(0);
    const nodes = new ConnectedNodes(clock);
    nodes.expect(a);
    const node = nodes.open(b, 60_000);
    node.sent(1n, both);
    node.reported(1n, [report(next, 3, 2)], '');
    node.close();
    expect(nodes.propagationOf(next)).toMatchObject({
      nodes: 2,
      nodesApplied: 1,
      subscribers: 3,
      acknowledged: 2,
      sidecarShare: 2 / 3,
    });
    nodes.open(b);
    expect(nodes.count()).toBe(1);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 2 });
    expect(nodes.propagationOf(next)).toMatchObject({ nodesApplied: 0 });
    await clock.advance(11_000);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1 });
  });

  test('that nobody waits for any longer does not count', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    nodes.open(a, 60_000).close();
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1 });
    nodes.evict(a);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 0 });
  });

  test('with a second stream is one node, and the end of the first changes nothing', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const first = nodes.open(a);
    const second = nodes.open(a);
    first.close();
    expect(nodes.get(a)).toBe(second);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1 });
    second.close();
    expect(nodes.get(a)).toBeUndefined();
  });
});

describe('a node that is shut out', () => {
  test.for([
    ['evicted', (nodes: ConnectedNodes) => nodes.evict(a)],
    ['turned away at its stream', (nodes: ConnectedNodes) => nodes.get(a)?.leave()],
  ] as const)('%s neither blocks a rotation nor pushes one', ([, out]) => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const liar = nodes.open(a, 60_000);
    const honest = nodes.open(b, 60_000);
    for (const each of [liar, honest]) each.sent(1n, both);
    expect(nodes.propagationOf(next)).toMatchObject({ nodes: 2, nodesApplied: 0 });
    out(nodes);
    liar.reported(1n, [report(next, 9, 9)], '');
    liar.close();
    const none = { nodes: 1, nodesApplied: 0, subscribers: 0, acknowledged: 0 };
    expect(nodes.propagationOf(next)).toMatchObject(none);
    honest.reported(1n, [report(next, 1, 1)], '');
    const all = { nodes: 1, nodesApplied: 1, subscribers: 1, acknowledged: 1 };
    expect(nodes.propagationOf(next)).toMatchObject(all);
  });

  test('leaves nothing of its later stream out', () => {
    const nodes = new ConnectedNodes(new ManualClock(0));
    const before = nodes.open(a, 60_000);
    const after = nodes.open(a, 90_000);
    before.leave();
    expect(nodes.get(a)).toBe(after);
  });
});

test('a stream that hangs counts no longer than its certificate', async () => {
  const clock = new ManualClock(0);
  const nodes = new ConnectedNodes(clock);
  nodes.open(a, 60_000);
  nodes.open(b, 90_000);
  await clock.advance(60_999);
  expect(nodes.propagationOf(next)).toMatchObject({ nodes: 2 });
  await clock.advance(1);
  expect(nodes.propagationOf(next)).toMatchObject({ nodes: 1 });
});

test('the times of a push are those of its first sending and of the last news', async () => {
  const clock = new ManualClock(0);
  const nodes = new ConnectedNodes(clock);
  const [first, second] = [nodes.open(a), nodes.open(b)];
  expect(nodes.pushTimesOf(next)).toBeUndefined();
  await clock.advance(1000);
  first.sent(1n, both);
  await clock.advance(1000);
  second.sent(1n, both);
  await clock.advance(1000);
  second.reported(1n, [], '');
  await clock.advance(1000);
  expect(nodes.pushTimesOf(next)).toEqual({ firstMs: 1000, lastChangeMs: 3000 });
});
