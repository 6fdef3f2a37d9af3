import { expect, test } from 'vitest';
import { seededRandom, systemClock } from '../../core/index.ts';
import { Deadlines } from '../net/deadlines.ts';
import { http1Protocol } from '../stream/http1-protocol.ts';
import { Cluster } from './cluster.ts';
import { hasDotSegment, matchRoute } from './route.ts';
import { createPoolStats } from './stats.ts';

const cluster = (name: string): Cluster =>
  new Cluster(
    {
      name,
      endpoints: [{ host: '127.0.0.1', port: 1 }],
      connectionsMax: 1,
      timeouts: { responseMs: 1, idleMs: 1 },
      waitMsMax: 1,
      protocol: http1Protocol,
    },
    {
      clock: systemClock,
      random: seededRandom(1),
      deadlines: new Deadlines(systemClock),
      dialer: { dial() {}, generation: () => 0 },
      stats: createPoolStats(),
    },
  );
const routes = [
  { prefix: '/orders/private', cluster: cluster('private'), timeouts: undefined },
  { prefix: '/orders', cluster: cluster('orders'), timeouts: undefined },
  { prefix: '/static/', cluster: cluster('static'), timeouts: undefined },
  { prefix: '/orders/late', cluster: cluster('never'), timeouts: undefined },
];

test.for([
  ['/orders', 'orders'],
  ['/orders/', 'orders'],
  ['/orders/7', 'orders'],
  ['/orders/late', 'orders'],
  ['/orders/private/1', 'private'],
  ['/orders/privateer', 'orders'],
  ['/orders2', undefined],
  ['/Orders', undefined],
  ['/static', undefined],
  ['/static/a.css', 'static'],
  ['/', undefined],
  ['*', undefined],
] as const)('%s belongs to %s', ([path, name]) => {
  expect(matchRoute(routes, path)?.cluster.name).toBe(name);
});

test('/ is for everything, the asterisk included', () => {
  const all = [{ prefix: '/', cluster: cluster('all'), timeouts: undefined }];
  for (const path of ['/', '/a', '*']) expect(matchRoute(all, path)).toBe(all[0]);
});

test.for([
  ['/a/../b', true],
  ['/a/./b', true],
  ['/..', true],
  ['/a/%2e%2E/b', true],
  ['/a/.%2e', true],
  ['/a/..%2fb', true],
  ['/a/..;x/b', true],
  ['/a..b', false],
  ['/.well-known/x', false],
  ['/...', false],
  ['/a/..b', false],
  ['/100%25', false],
] as const)('%s has a dot segment: %s', ([path, expected]) => {
  expect(hasDotSegment(path)).toBe(expected);
});
