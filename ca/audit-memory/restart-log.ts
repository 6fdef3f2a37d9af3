/**
 * Beginning a new audit log because the old one is lost: deliberate, on a CA that stands still, and told by
 * the new log's first record.
 *
 * The new log gets a new key. Under the old one it would be a second history of the same log, which is
 * what witnesses look for.
 */

import { access, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, syncDirectory, systemErrorCode, toHex } from '../../core/index.ts';
import { auditKeyKey } from '../store/key-layout.ts';
import { openLevelStore } from '../store/level-store.ts';
import { AuditError } from '../audit/audit-error.ts';
import { parseCheckpoint } from '../audit/checkpoint.ts';
import { formatLogMemory, logMemoryKey, readLogMemory } from './log-memory.ts';
import { verifyAuditLog } from '../audit/verify.ts';

export interface Restarted {
  readonly lost: { readonly size: number; readonly rootHash: string };
  /** Where what was left of the old log is now. */
  readonly kept: string | undefined;
}

/**
 * The next start of the CA on `data` begins a new log. Throws {@link AuditError} `audit_restart_refused`
 * when nothing is lost, StoreError `store_locked` while a CA runs.
 */
export async function restartAuditLog(p: {
  readonly data: string;
  readonly reason: string;
  /** Who says so, as the record will name them. */
  readonly by: string;
  readonly clock: Clock;
}): Promise<Restarted> {
  const directory = join(p.data, 'audit');
  const storeDirectory = join(p.data, 'store');
  // Opening a store makes one where there is none.
  if (!(await exists(storeDirectory))) throw refused(`${p.data} holds no CA`);
  const store = await openLevelStore({ directory: storeDirectory });
  try {
    const memory = await readLogMemory(store);
    const note = memory?.checkpoint;
    if (note === undefined)
      throw refused(`the CA of ${p.data} remembers no log that could be lost`);
    const isThere = await exists(directory);
    if (isThere) await requireLost(directory, note);
    const stamp = new Date(p.clock.wallMs()).toISOString().replaceAll(/[:.]/g, '');
    const kept = isThere ? `${directory}.lost-${stamp}` : undefined;
    if (kept !== undefined) await rename(directory, kept);
    await syncDirectory(p.data);
    const { size, rootHash } = parseCheckpoint(note) ?? { size: 0, rootHash: new Uint8Array(32) };
    const lost = { size, rootHash: toHex(rootHash) };
    const actor = { kind: 'admin' as const, id: p.by };
    const pending = { type: 'audit.restarted' as const, actor, lost, reason: p.reason };
    await store.commit({
      puts: [{ key: logMemoryKey, value: formatLogMemory({ pending }) }],
      deletes: [auditKeyKey],
    });
    return { lost, kept };
  } finally {
    await store.close();
  }
}

/** A log that is whole is not lost, whoever says so. */
async function requireLost(directory: string, known: string): Promise<void> {
  const verdict = await verifyAuditLog({ directory, knownCheckpoint: known });
  if (verdict.kind === 'ok') throw refused(`${directory} is whole, with ${verdict.size} records`);
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function refused(detail: string): AuditError {
  return new AuditError('audit_restart_refused', `no new log is begun: ${detail}`, {
    remedy: 'start the CA, or give the data directory whose log is lost',
  });
}
