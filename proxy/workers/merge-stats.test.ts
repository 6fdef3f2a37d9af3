import { expect, test } from 'vitest';
import { prometheusText } from '../admin/prometheus-text.ts';
import { mergeStats, type WorkerStats } from './merge-stats.ts';

function stats(pid: number, more: Partial<WorkerStats> = {}): WorkerStats {
  return {
    pid,
    uptimeMs: 1000,
    memory: { rssBytes: 100, heapUsedBytes: 10 },
    listeners: { in: { requests: 3, connectionsActive: 1 } },
    clusters: { app: { connectionsOpened: 2 } },
    secrets: [{ name: 'default', accepted: 2, refused: 0, streams: 1, isConnected: true }],
    tlsGeneration: 2,
    accessLogDropped: 1,
    ...more,
  };
}

test('counters are added up, and what cannot be is told by worker', () => {
  const late = stats(2, {
    tlsGeneration: 1,
    secrets: [{ name: 'default', accepted: 1, refused: 1, streams: 1, isConnected: false }],
    clusters: { other: { connectionsOpened: 5 } },
  });
  const merged = mergeStats([stats(1), late]);
  expect(merged).toEqual({
    workers: [
      { pid: 1, uptimeMs: 1000, tlsGeneration: 2 },
      { pid: 2, uptimeMs: 1000, tlsGeneration: 1 },
    ],
    memory: { rssBytes: 200, heapUsedBytes: 20 },
    listeners: { in: { requests: 6, connectionsActive: 2 } },
    clusters: { app: { connectionsOpened: 2 }, other: { connectionsOpened: 5 } },
    secrets: [{ name: 'default', accepted: 3, refused: 1, streams: 2, isConnected: false }],
    tlsGeneration: 1,
    accessLogDropped: 2,
  });
  expect(prometheusText(merged)).toContain('signet_proxy_listener_requests_total{listener="in"} 6');
});

test('of no worker there is nothing', () => {
  expect(mergeStats([])).toMatchObject({ workers: [], listeners: {}, tlsGeneration: 0 });
});
