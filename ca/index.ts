/**
 * The door of `ca/`: the certificate authority as a program, its audit log's verification, and the parts of the
 * issuance cycle that benchmarks run without the program around them.
 */

export { type CaConfig, parseCaConfig } from './config.ts';
export { type CaDeps, type RunningCa, startCa } from './ca.ts';
export { openAuditLog, usualPace } from './audit/log.ts';
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
export { type Restarted, restartAuditLog } from './audit-memory/restart-log.ts';
export { type Restored, restoreBackup } from './backup/restore-backup.ts';
export { offlineBackup } from './backup/offline-backup.ts';
export { resealData } from './backup/reseal-data.ts';
export { type AuditVerdict, verifyAuditLog, type VerifyOptions } from './audit/verify.ts';
export { openAuthorities } from './authority/authorities.ts';
export { createKeyStore } from './authority/key-store.ts';
export { defaultLifetimes } from './authority/lifetimes.ts';
export { type IssuanceDeps, issueX509Svid } from './issuance/issue.ts';
export { openPolicyFile } from './issuance/policy-file.ts';
export { openSerials } from './issuance/serial.ts';
export { parseSelector } from './registry/selector.ts';
export { createRegistry, type Registry } from './registry/registry.ts';
export { openRegistryView, type RegistryView } from './registry/registry-view.ts';
export { openLevelStore } from './store/level-store.ts';
