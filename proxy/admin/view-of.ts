/** The admin port's view, taken from the parts of a running proxy. */

import type { Clock, Watch } from '../../core/index.ts';
import type { AccessLog } from '../access-log.ts';
import { type ProxyConfig, speaksTls } from '../config.ts';
import type { TlsMaterial } from '../net/mtls/tls-material.ts';
import type { ProxyStats } from '../proxy/stats.ts';
import type { SecretStatus } from '../sds/sds-client.ts';
import type { BoundListener, ProxyView } from './proxy-view.ts';

export interface ViewedParts {
  readonly clock: Clock;
  readonly config: ProxyConfig;
  readonly listeners: readonly BoundListener[];
  readonly stats: ProxyStats;
  readonly accessLog: AccessLog;
  readonly material: Watch<TlsMaterial | undefined>;
  readonly secrets: () => readonly SecretStatus[];
  readonly isDraining: () => boolean;
}

export function viewOf(parts: ViewedParts): ProxyView {
  const { clock, config, listeners, stats, accessLog, material, secrets, isDraining } = parts;
  const startedMs = clock.monotonicMs();
  const needsTls = speaksTls(config);
  return {
    nowMs: () => clock.wallMs(),
    material: () => material.current(),
    needsTls: () => needsTls,
    isDraining,
    listeners: () => listeners,
    stats: () => {
      const { rss, heapUsed } = process.memoryUsage();
      return {
        pid: process.pid,
        uptimeMs: Math.round(clock.monotonicMs() - startedMs),
        memory: { rssBytes: rss, heapUsedBytes: heapUsed },
        listeners: Object.fromEntries(stats.listeners),
        clusters: Object.fromEntries(stats.clusters),
        secrets: secrets(),
        tlsGeneration: material.current()?.generation ?? 0,
        accessLogDropped: accessLog.dropped(),
      };
    },
  };
}
