/**
 * What this node's SDS clients made of the secrets they were sent, for the CA: counts per authority and version,
 * the words of those that refuse, and who holds what. The whole picture each time, and at most one a second.
 */

import type { SecretRefusal, SecretReport } from '../api/index.ts';
import {
  type Clock,
  type Closable,
  cutText,
  type Timer,
  type Watch,
  WatchSource,
} from '../core/index.ts';
import type { SdsClient, SdsClients } from '../sds-server/index.ts';
import { type SecretHoldings, secretHoldingsOf } from './secret-holdings.ts';

export interface SecretReports extends Closable {
  /** Changes whenever there is something new to tell. */
  readonly changes: Watch<number>;
  current(): SecretReport[];
  holdings(): SecretHoldings;
}

export interface SecretReportsDeps {
  readonly clients: SdsClients;
  /** Whose words they are; empty where nobody knows. */
  readonly spiffeIdOf: (client: SdsClient) => string;
  readonly clock: Clock;
}

export function followSecrets({ clients, spiffeIdOf, clock }: SecretReportsDeps): SecretReports {
  const changes = new WatchSource(0);
  let reports: SecretReport[] = [];
  let holdings: SecretHoldings = { holdings: [], leftOut: 0 };
  let told = '';
  let nextMs = 0;
  let timer: Timer | undefined;
  const look = (): void => {
    timer = undefined;
    nextMs = clock.monotonicMs() + restMs;
    const all = clients.snapshot();
    reports = secretReportsOf(all, spiffeIdOf);
    holdings = secretHoldingsOf(all, spiffeIdOf);
    // A renewal that all take is new; a stream that came and went is not.
    const text = JSON.stringify({ reports, holdings }, (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    if (text === told) return;
    told = text;
    changes.set(changes.current() + 1);
  };
  const stop = clients.subscribe(() => {
    // After a push thousands acknowledge within milliseconds: one look tells of them all.
    timer ??= clock.after(Math.max(gatherMs, nextMs - clock.monotonicMs()), look);
  });
  return {
    changes,
    current: () => reports,
    holdings: () => holdings,
    async close() {
      stop();
      timer?.cancel();
    },
  };
}

/** Refused ones first; those beyond the bound are told as one for each authority, without a version. Pure. */
export function secretReportsOf(
  clients: readonly SdsClient[],
  spiffeIdOf: (client: SdsClient) => string,
): SecretReport[] {
  const reports = new Map<string, SecretReport>();
  for (const client of clients) {
    for (const { name, version, state, error = '', sinceMs, authorityKeyIds } of client.names) {
      for (const authorityKeyId of authorityKeyIds.length === 0 ? [''] : authorityKeyIds) {
        const report = reportIn(reports, authorityKeyId, version);
        report[countOf[state]] += 1;
        if (state !== 'refused' || report.refusals.length >= refusalsMax) continue;
        report.refusals.push({
          spiffeId: spiffeIdOf(client),
          name,
          error: cutText(error, errorLengthMax),
          sinceMs: BigInt(Math.round(sinceMs)),
        });
      }
    }
  }
  const sorted = [...reports.values()].toSorted(
    (left, right) =>
      right.refused - left.refused ||
      right.acknowledged + right.waiting - (left.acknowledged + left.waiting) ||
      (left.secretVersion < right.secretVersion ? -1 : 1),
  );
  if (sorted.length <= reportsMax) return sorted;
  const rest = new Map<string, SecretReport>();
  for (const report of sorted.slice(versionsMax)) addTo(rest, report);
  return [...sorted.slice(0, versionsMax), ...rest.values()].slice(0, reportsMax);
}

function reportIn(
  reports: Map<string, SecretReport>,
  authorityKeyId: string,
  secretVersion: string,
): SecretReport {
  const key = `${authorityKeyId} ${secretVersion}`;
  const known = reports.get(key);
  if (known !== undefined) return known;
  const refusals: SecretRefusal[] = [];
  const counts = { acknowledged: 0, refused: 0, waiting: 0 };
  const report = { authorityKeyId, secretVersion, ...counts, refusals };
  reports.set(key, report);
  return report;
}

function addTo(rest: Map<string, SecretReport>, report: SecretReport): void {
  const sum = reportIn(rest, report.authorityKeyId, '');
  sum.acknowledged += report.acknowledged;
  sum.refused += report.refused;
  sum.waiting += report.waiting;
  sum.refusals.push(...report.refusals.slice(0, refusalsMax - sum.refusals.length));
}

const countOf = { sent: 'waiting', acknowledged: 'acknowledged', refused: 'refused' } as const;
const gatherMs = 100;
const restMs = 1000;
// With its refusals about a megabyte at the very worst, and some kilobytes as it is.
const reportsMax = 256;
// The others leave room for one sum for each authority of the bundle.
const versionsMax = 192;
const refusalsMax = 20;
const errorLengthMax = 512;
