/** What the sidecars of the fleet made of their secrets, added up from what nodes report. Pure. */

import type { SecretReport } from '../../api/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';

export interface SecretStandings {
  /** One for each authority; the one without a key id is of secrets that no authority signed. */
  readonly authorities: readonly AuthorityStanding[];
  /** The versions that most clients refuse or hold, at most {@link versionsMax}. */
  readonly versions: readonly VersionStanding[];
  /** At most {@link refusalsMax}, the oldest first. */
  readonly refusals: readonly ReportedRefusal[];
}

export interface SecretCounts {
  readonly acknowledged: number;
  readonly refused: number;
  readonly waiting: number;
  /** Nodes that report it. */
  readonly nodes: number;
}

export interface AuthorityStanding extends SecretCounts {
  readonly authorityKeyId: string;
  readonly versions: number;
}

export interface VersionStanding extends SecretCounts {
  readonly authorityKeyId: string;
  readonly version: string;
}

export interface ReportedRefusal {
  readonly nodeId: SpiffeId;
  readonly spiffeId: string;
  readonly name: string;
  readonly version: string;
  readonly error: string;
  readonly sinceMs: number;
}

/** A node's reports, cut to what one node may tell: a number that is not true harms its own line alone. */
export function boundedReports(reports: readonly SecretReport[]): readonly SecretReport[] {
  return reports.slice(0, reportsMax).map((report) => ({
    ...report,
    authorityKeyId: report.authorityKeyId.slice(0, keyIdLengthMax),
    secretVersion: report.secretVersion.slice(0, versionLengthMax),
    refusals: report.refusals.slice(0, nodeRefusalsMax).map((refusal) => ({
      spiffeId: refusal.spiffeId.slice(0, nameLengthMax),
      name: refusal.name.slice(0, nameLengthMax),
      error: refusal.error.slice(0, errorLengthMax),
      sinceMs: refusal.sinceMs,
    })),
  }));
}

export function secretStandings(
  nodes: Iterable<readonly [SpiffeId, readonly SecretReport[]]>,
): SecretStandings {
  const versions = new Map<string, Sum>();
  const authorities = new Map<string, Sum>();
  const refusals: ReportedRefusal[] = [];
  for (const [nodeId, reports] of nodes) {
    for (const report of reports) {
      const { authorityKeyId, secretVersion } = report;
      sumIn(versions, authorityKeyId, secretVersion).add(nodeId, report);
      sumIn(authorities, authorityKeyId, '').add(nodeId, report);
      for (const { spiffeId, name, error, sinceMs } of report.refusals) {
        const version = secretVersion;
        refusals.push({ nodeId, spiffeId, name, version, error, sinceMs: Number(sinceMs) });
      }
    }
  }
  return {
    authorities: [...authorities.values()].toSorted(byWeight).map((sum) => ({
      authorityKeyId: sum.authorityKeyId,
      versions: sum.versions.size,
      ...sum.counts(),
    })),
    versions: [...versions.values()]
      .toSorted(byWeight)
      .slice(0, versionsMax)
      .map((sum) => ({
        authorityKeyId: sum.authorityKeyId,
        version: sum.version,
        ...sum.counts(),
      })),
    refusals: refusals
      .toSorted((left, right) => left.sinceMs - right.sinceMs)
      .slice(0, refusalsMax),
  };
}

class Sum {
  readonly authorityKeyId: string;
  readonly version: string;
  readonly versions = new Set<string>();
  readonly #nodes = new Set<SpiffeId>();
  acknowledged = 0;
  refused = 0;
  waiting = 0;

  constructor(authorityKeyId: string, version: string) {
    this.authorityKeyId = authorityKeyId;
    this.version = version;
  }

  add(nodeId: SpiffeId, report: SecretReport): void {
    this.#nodes.add(nodeId);
    if (report.secretVersion !== '') this.versions.add(report.secretVersion);
    this.acknowledged += report.acknowledged;
    this.refused += report.refused;
    this.waiting += report.waiting;
  }

  counts(): SecretCounts {
    const { acknowledged, refused, waiting } = this;
    return { acknowledged, refused, waiting, nodes: this.#nodes.size };
  }
}

function sumIn(sums: Map<string, Sum>, authorityKeyId: string, version: string): Sum {
  const key = `${authorityKeyId} ${version}`;
  const sum = sums.get(key) ?? new Sum(authorityKeyId, version);
  sums.set(key, sum);
  return sum;
}

function byWeight(left: Sum, right: Sum): number {
  return (
    right.refused - left.refused ||
    right.acknowledged + right.waiting - (left.acknowledged + left.waiting) ||
    (left.version < right.version ? -1 : 1)
  );
}

// An agent sends at most as many.
const reportsMax = 256;
const nodeRefusalsMax = 20;
const errorLengthMax = 512;
// A SPIFFE ID is at most 2,048 bytes (SPIFFE-ID §2.4).
const nameLengthMax = 2048;
// Two hashes in hex.
const keyIdLengthMax = 128;
const versionLengthMax = 128;
// What a person reads; the counts tell the rest.
const versionsMax = 100;
const refusalsMax = 100;
