import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairQueue } from './fair-queue.ts';

const bounds = { itemsMax: 1000, itemsPerCallerMax: 500 };
const drain = (queue: FairQueue<string>, mayGo: (caller: string) => boolean = () => true) => {
  const order: string[] = [];
  for (let item = queue.dequeue(mayGo); item !== undefined; item = queue.dequeue(mayGo)) {
    order.push(item);
  }
  return order;
};

test('one request of a second caller goes before the rest of a crowd of the first', () => {
  const queue = new FairQueue<string>(bounds);
  for (let count = 0; count < 100; count += 1) queue.enqueue('crowd', 1, `c${count}`);
  queue.enqueue('single', 1, 's');
  expect(drain(queue).indexOf('s')).toBeLessThanOrEqual(1);
});

test('callers share by cost, not by count', () => {
  const queue = new FairQueue<string>(bounds);
  for (let count = 0; count < 40; count += 1) {
    queue.enqueue('dear', 4, 'dear');
    queue.enqueue('cheap', 1, 'cheap');
  }
  const first = drain(queue).slice(0, 25);
  expect(first.filter((item) => item === 'dear').length).toBe(5);
});

test('a caller that may not go holds up nobody, and keeps its place', () => {
  const queue = new FairQueue<string>(bounds);
  for (const item of ['a1', 'a2']) queue.enqueue('a', 1, item);
  for (const item of ['b1', 'b2']) queue.enqueue('b', 1, item);
  expect(drain(queue, (caller) => caller === 'b')).toEqual(['b1', 'b2']);
  expect(queue.size()).toBe(2);
  expect(drain(queue)).toEqual(['a1', 'a2']);
});

test('bounds: of one caller, then of all; what is refused is not kept', () => {
  const queue = new FairQueue<string>({ itemsMax: 3, itemsPerCallerMax: 2 });
  expect(['1', '2', '3'].map((item) => queue.enqueue('a', 1, item))).toEqual([
    'queued',
    'queued',
    'caller_full',
  ]);
  expect(queue.enqueue('b', 1, '4')).toBe('queued');
  expect(queue.enqueue('c', 1, '5')).toBe('queue_full');
  expect(drain(queue).toSorted()).toEqual(['1', '2', '4']);
  expect(queue.size()).toBe(0);
});

test('whatever comes: each item leaves once, in its caller’s order, and no caller waits for more than a turn each', () => {
  const arrivals = fc.array(
    fc.record({
      caller: fc.constantFrom('a', 'b', 'c', 'd'),
      cost: fc.integer({ min: 1, max: 5 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(arrivals, (items) => {
      const queue = new FairQueue<{ caller: string; index: number; cost: number }>(bounds);
      for (const [index, { caller, cost }] of items.entries()) {
        queue.enqueue(caller, cost, { caller, index, cost });
      }
      const order: { caller: string; index: number; cost: number }[] = [];
      for (let item = queue.dequeue(() => true); item !== undefined; ) {
        order.push(item);
        item = queue.dequeue(() => true);
      }
      expect(order.length).toBe(items.length);
      for (const caller of ['a', 'b', 'c', 'd']) {
        const indexes = order.filter((item) => item.caller === caller).map(({ index }) => index);
        expect(indexes).toEqual(indexes.toSorted((left, right) => left - right));
        // Until its first item goes, nobody else gets more than that item costs and one largest item on top.
        const first = order.findIndex((item) => item.caller === caller);
        for (const other of ['a', 'b', 'c', 'd']) {
          const before = order.slice(0, Math.max(0, first)).filter((item) => item.caller === other);
          const spent = before.reduce((sum, { cost }) => sum + cost, 0);
          expect(spent).toBeLessThanOrEqual((order[first]?.cost ?? 0) + 5);
        }
      }
    }),
  );
});
