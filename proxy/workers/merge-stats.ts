/** The stats of several workers as those of one proxy. */

import { z } from 'zod';
import type { MeasuredStats } from '../admin/prometheus-text.ts';

export type WorkerStats = z.output<typeof workerStatsSchema>;

const countersSchema = z.record(z.string(), z.record(z.string(), z.number()));

/** What a worker's `/stats` answers, as far as it is added up. */
export const workerStatsSchema = z.object({
  pid: z.number(),
  uptimeMs: z.number(),
  memory: z.object({ rssBytes: z.number(), heapUsedBytes: z.number() }),
  listeners: countersSchema,
  clusters: countersSchema,
  secrets: z.array(
    z.object({
      name: z.string(),
      accepted: z.number(),
      refused: z.number(),
      streams: z.number(),
      isConnected: z.boolean(),
    }),
  ),
  tlsGeneration: z.number(),
  accessLogDropped: z.number(),
});

export interface MergedStats extends MeasuredStats {
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number };
  /** What cannot be added up. */
  readonly workers: readonly Pick<WorkerStats, 'pid' | 'uptimeMs' | 'tlsGeneration'>[];
}

/** Counters are added; a secret is connected if all workers are, and as new as the worker that is furthest behind. */
export function mergeStats(stats: readonly WorkerStats[]): MergedStats {
  const generations = stats.map(({ tlsGeneration }) => tlsGeneration);
  return {
    workers: stats.map(({ pid, uptimeMs, tlsGeneration }) => ({ pid, uptimeMs, tlsGeneration })),
    memory: {
      rssBytes: sum(stats.map(({ memory }) => memory.rssBytes)),
      heapUsedBytes: sum(stats.map(({ memory }) => memory.heapUsedBytes)),
    },
    listeners: addUp(stats.map(({ listeners }) => listeners)),
    clusters: addUp(stats.map(({ clusters }) => clusters)),
    secrets: mergeSecrets(stats.flatMap(({ secrets }) => secrets)),
    tlsGeneration: generations.length === 0 ? 0 : Math.min(...generations),
    accessLogDropped: sum(stats.map(({ accessLogDropped }) => accessLogDropped)),
  };
}

type Counters = Record<string, Record<string, number>>;

function addUp(all: readonly Counters[]): Counters {
  const whole: Counters = {};
  for (const counters of all) {
    for (const [name, values] of Object.entries(counters)) {
      const into = (whole[name] ??= {});
      for (const [key, value] of Object.entries(values)) into[key] = (into[key] ?? 0) + value;
    }
  }
  return whole;
}

type Secret = WorkerStats['secrets'][number];

function mergeSecrets(secrets: readonly Secret[]): Secret[] {
  const byName = new Map<string, Secret>();
  for (const secret of secrets) {
    const before = byName.get(secret.name);
    byName.set(secret.name, before === undefined ? secret : mergeSecret(before, secret));
  }
  return [...byName.values()];
}

function mergeSecret(left: Secret, right: Secret): Secret {
  return {
    name: left.name,
    accepted: left.accepted + right.accepted,
    refused: left.refused + right.refused,
    streams: left.streams + right.streams,
    isConnected: left.isConnected && right.isConnected,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((whole, value) => whole + value, 0);
}
