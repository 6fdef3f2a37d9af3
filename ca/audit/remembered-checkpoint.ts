/**
 * A checkpoint that the CA's store remembers: whatever log is opened must begin with what it signed.
 *
 * The log's own files cannot tell that all of them are gone, or were put back to an earlier day: there is
 * nothing left that would say so. The store is another place, written after the log and never before it,
 * so a log that is shorter than what is remembered was shortened by somebody.
 */

import { access } from 'node:fs/promises';
import { equalBytes, systemErrorCode } from '../../core/index.ts';
import { AuditError, type AuditErrorCode } from './audit-error.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type MerkleTree, rootHashOf } from './merkle.ts';
import { verifyConsistency } from './merkle-proof.ts';
import { TileReader } from './tile-reader.ts';

/** Before the directory is made: throws {@link AuditError} `audit_lost` if it should be there. */
export async function checkPresence(directory: string, known: Checkpoint): Promise<void> {
  try {
    await access(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') checkLength(directory, 0, known);
  }
}

/** Throws {@link AuditError} `audit_lost` or `audit_behind`; nothing has been written by then. */
export function checkLength(directory: string, size: number, known: Checkpoint): void {
  if (size >= known.size) return;
  if (size === 0) {
    throw refused('audit_lost', `the audit log ${directory} is gone: it had ${known.size} records`);
  }
  throw refused(
    'audit_behind',
    `the audit log ${directory} has ${size} records, and had ${known.size} before`,
  );
}

/** Throws {@link AuditError} `audit_forked` unless the tree, whose tiles are there, begins with what is known. */
export async function checkHistory(
  directory: string,
  tree: MerkleTree,
  known: Checkpoint,
): Promise<void> {
  const { size: firstSize, rootHash: firstRootHash } = known;
  const { size } = tree;
  const rootHash = rootHashOf(tree);
  const isSame =
    size === firstSize
      ? equalBytes(rootHash, firstRootHash)
      : verifyConsistency({
          firstSize,
          firstRootHash,
          size,
          rootHash,
          proof: await new TileReader(directory, size).consistencyProof(firstSize),
        });
  if (isSame) return;
  throw refused(
    'audit_forked',
    `the first ${firstSize} records of the audit log ${directory} are not those it had before`,
  );
}

function refused(code: AuditErrorCode, message: string): AuditError {
  return new AuditError(code, message, {
    remedy:
      "put the log's directory back, or restore the CA from a backup; if the log is lost for good: signet audit restart",
  });
}
