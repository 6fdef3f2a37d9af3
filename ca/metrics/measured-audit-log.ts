/** An audit log that is timed: the same port, with its appends counted. */

import type { Clock } from '../../core/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { type Metrics, secondsBuckets } from './metrics.ts';
import { Outcomes } from './outcomes.ts';

export interface MeasuredAuditLog {
  readonly audit: AuditLog;
  readonly outcomes: Outcomes;
}

export function measureAuditLog(audit: AuditLog, clock: Clock, metrics: Metrics): MeasuredAuditLog {
  const outcomes = new Outcomes(clock);
  const seconds = metrics.histogram({
    name: 'signet_ca_audit_append_seconds',
    help: 'From asking for a record until it is durable',
    buckets: secondsBuckets,
  });
  const failures = metrics.counter({
    name: 'signet_ca_audit_append_failures_total',
    help: 'Records that could not be written; what they would have recorded did not happen',
  });
  metrics.gaugeOf(
    { name: 'signet_ca_audit_lag_records', help: 'Records asked for and not durable yet' },
    () => outcomes.waiting(),
  );
  metrics.gaugeOf({ name: 'signet_ca_audit_records', help: 'Durable records of the log' }, () =>
    audit.size(),
  );
  return {
    outcomes,
    audit: {
      size: () => audit.size(),
      rootHash: () => audit.rootHash(),
      close: () => audit.close(),
      append: (event) => outcomes.follow(() => audit.append(event), { seconds, failures }),
    },
  };
}
