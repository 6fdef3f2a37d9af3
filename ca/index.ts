/** The door of `ca/`: the certificate authority as a program, and its audit log's verification. */

export { type CaConfig, parseCaConfig } from './config.ts';
export { type CaDeps, type RunningCa, startCa } from './ca.ts';
export { archiveAudit, type ArchivedSegment, type ArchiveOptions } from './audit/archive.ts';
export type { AuditRecord } from './audit/event.ts';
export { heldBy, type HeldOptions, type Holding } from './audit/held.ts';
export {
  formatProofBundle,
  type ProofBundle,
  type ProofVerdict,
  verifyProofBundle,
} from './audit/proof-bundle.ts';
export {
  type ConsistencyVerdict,
  newestCheckpoint,
  proveConsistency,
  type ProveOptions,
  proveRecord,
} from './audit/prove.ts';
export { indexOfSerial, queryAudit, type QueryOptions } from './audit/query.ts';
export { followRecords, readTail } from './audit/tail.ts';
export { type Restored, restoreBackup } from './backup/restore-backup.ts';
export { offlineBackup } from './backup/offline-backup.ts';
export { resealData } from './backup/reseal-data.ts';
export { type AuditVerdict, verifyAuditLog, type VerifyOptions } from './audit/verify.ts';
