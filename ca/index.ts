/** The door of `ca/`: the certificate authority as a program, and its audit log's verification. */

export { type CaConfig, parseCaConfig } from './config.ts';
export { type CaDeps, type RunningCa, startCa } from './ca.ts';
export { type Restored, restoreBackup } from './backup/restore-backup.ts';
export { offlineBackup } from './backup/offline-backup.ts';
export { resealData } from './backup/reseal-data.ts';
export { type AuditVerdict, verifyAuditLog, type VerifyOptions } from './audit/verify.ts';
