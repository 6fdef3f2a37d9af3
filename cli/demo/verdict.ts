/** Whether the demo showed what it claims: a pure function of what was measured. */

export interface Measured {
  readonly seconds: number;
  readonly requests: number;
  readonly failed: number;
  readonly newConnections: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The fewest rotations any sidecar made. */
  readonly rotations: number;
  readonly rootRotations: number;
  /** Whether each step that the rotation printed is in the log, and everybody trusted the root when it signed. */
  readonly rotationProven: boolean;
  /** Sidecars' subscriptions that had acknowledged the new root when it began to sign. */
  readonly sidecarsTrusting: number;
  /** Sidecars that did not keep their process. */
  readonly restarts: number;
  readonly caRestarts: number;
  readonly auditVerified: boolean;
  readonly auditRecords: number;
  readonly keysSeen: number;
  readonly keysOnDisk: number;
  readonly filesScanned: number;
  /** True if the scan for keys found a key that was put there, and saw every serial the sidecars used. */
  readonly scanTrusted: boolean;
}

/** What is missing, one sentence each; empty if the demo holds. */
export function shortcomings(measured: Measured): readonly string[] {
  const wanted = rotationsWanted(measured.seconds);
  return [
    [measured.requests > 0, 'no request was made'],
    [measured.failed === 0, `${measured.failed} requests failed`],
    [
      measured.rotations >= wanted,
      `a sidecar rotated ${measured.rotations} times, ${wanted} were expected`,
    ],
    [measured.rootRotations === 1, 'the root was not rotated'],
    [measured.rotationProven, 'the rotation of the root is not proven by the audit log'],
    [measured.restarts === 0, `${measured.restarts} sidecars did not keep their process`],
    [measured.caRestarts === 1, 'the CA was not killed and restarted'],
    [measured.auditVerified, 'the audit log does not verify'],
    [measured.keysSeen > 0 && measured.scanTrusted, 'the scan for keys on disk proves nothing'],
    [measured.keysOnDisk === 0, `${measured.keysOnDisk} keys were found on disk`],
  ].flatMap(([holds, text]) => (holds === true ? [] : [String(text)]));
}

/** Five in thirty seconds: certificates of 10 s, renewed at half life with jitter. */
export function rotationsWanted(seconds: number): number {
  return Math.max(1, Math.floor(seconds / 6));
}
