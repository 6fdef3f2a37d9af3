/** Turns what was seen during a run into the figures of its verdict. */

import { z } from 'zod';
import type { verifyAuditLog } from '../../ca/index.ts';
import { type LoadCounts, percentile } from './load.ts';
import type { Mesh } from './mesh.ts';
import type { SidecarView } from './observe.ts';
import { askChild } from './talk.ts';
import type { Measured } from './verdict.ts';

/** What a witness answers: it never tells a key. */
const scanSchema = z.object({
  serials: z.array(z.string()),
  files: z.number(),
  bytes: z.number(),
  hits: z.array(z.object({ path: z.string(), key: z.number() })),
  control: z.boolean(),
});
export type Scan = z.infer<typeof scanSchema>;

/** Has every witness look for the keys it saw in every file of the run. */
export function scanForKeys(mesh: Mesh): Promise<Scan[]> {
  const question = { directory: mesh.controlPlane.directory, except: [mesh.binaries] };
  return Promise.all(mesh.witnesses.map((witness) => askChild(witness, question, scanSchema)));
}

export interface Seen {
  readonly seconds: number;
  readonly counts: LoadCounts;
  readonly views: readonly SidecarView[];
  readonly scans: readonly Scan[];
  readonly audit: Awaited<ReturnType<typeof verifyAuditLog>>;
  readonly rootRotations: number;
  readonly rotationProven: boolean;
  readonly sidecarsTrusting: number;
  readonly caStarts: number;
}

export function measure({
  seconds,
  counts,
  views,
  scans,
  audit,
  rootRotations,
  rotationProven,
  sidecarsTrusting,
  caStarts,
}: Seen): Measured {
  const witnessed = new Set(scans.flatMap((scan) => scan.serials));
  return {
    seconds,
    requests: counts.requests,
    failed: counts.failed,
    newConnections: counts.newConnections,
    p50Ms: hundredths(percentile(counts.latenciesMs, 0.5)),
    p99Ms: hundredths(percentile(counts.latenciesMs, 0.99)),
    rotations: Math.min(...views.map((view) => view.serials.length - 1)),
    rootRotations,
    rotationProven,
    sidecarsTrusting,
    restarts: views.filter((view) => view.ended !== undefined).length,
    caRestarts: caStarts - 1,
    auditVerified: audit.kind === 'ok',
    auditRecords: audit.kind === 'ok' ? audit.size : 0,
    keysSeen: witnessed.size,
    keysOnDisk: scans.reduce((sum, scan) => sum + scan.hits.length, 0),
    filesScanned: Math.max(...scans.map((scan) => scan.files)),
    // A witness that missed a key, or a scan that would miss it, proves nothing.
    scanTrusted:
      scans.every((scan) => scan.control) &&
      views.every((view) => view.serials.every((serial) => witnessed.has(serial))),
  };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
