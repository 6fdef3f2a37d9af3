/** Proofs over a log from its files alone: that a record is in it, and that it only grew. */

import { equalBytes, toHex } from '../../core/index.ts';
import { AuditError } from './audit-error.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { checkpointPath, readIfPresent, verifierPath } from './log-files.ts';
import { type Broken, broken } from './log-walk.ts';
import { leafHashOf } from './merkle.ts';
import { type Proof, verifyConsistency, verifyInclusion } from './merkle-proof.ts';
import type { ProofBundle } from './proof-bundle.ts';
import { listSegmentsIn, readLines } from './segment.ts';
import { parseVerifier } from './parse-verifier.ts';
import type { NoteVerifier } from './signed-note.ts';
import { TileReader } from './tile-reader.ts';

export interface ProveOptions {
  readonly directory: string;
  /** Where sealed segments were moved. */
  readonly archive?: string;
  readonly verifierKey?: string;
}

/** The newest checkpoint as it stands, for whoever keeps a copy elsewhere. Throws {@link AuditError}. */
export async function newestCheckpoint(options: ProveOptions): Promise<{
  readonly note: string;
  readonly checkpoint: Checkpoint;
}> {
  const { directory } = options;
  const verifier = await verifierOf(options);
  const note = await readIfPresent(checkpointPath(directory));
  if (note === undefined) {
    throw new AuditError('audit_unreadable', `${directory} has no checkpoint`, {
      remedy: "give the CA's data directory",
    });
  }
  const verdict = openCheckpoint(note, verifier);
  if (verdict.kind === 'signed') return { note, checkpoint: verdict.checkpoint };
  throw new AuditError(
    'audit_broken',
    `the checkpoint of ${directory} is not one that ${verifier.name} signed (${verdict.code})`,
    { remedy: 'compare it with a copy kept elsewhere' },
  );
}

/**
 * The proof of record `index`, from its segment and a handful of tiles. Throws {@link AuditError}, also
 * when the proof does not hold: then the record or a tile was changed.
 */
export async function proveRecord(options: ProveOptions, index: number): Promise<ProofBundle> {
  const { note, checkpoint } = await newestCheckpoint(options);
  const { size, rootHash } = checkpoint;
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new AuditError('audit_record_unknown', `the log has no record ${index}`, {
      remedy: `the checkpoint covers ${size} records, from 0`,
    });
  }
  const line = await lineAt(options, index);
  const proof = await new TileReader(options.directory, size).inclusionProof(index);
  if (!verifyInclusion({ index, size, leafHash: leafHashOf(line), proof, rootHash })) {
    throw new AuditError(
      'audit_broken',
      `record ${index} of ${options.directory} is not the one that was signed, or a tile is not`,
      { remedy: 'find what was changed with signet audit verify' },
    );
  }
  return { line, index, proof, checkpoint: note };
}

export type ConsistencyVerdict =
  | {
      readonly kind: 'consistent';
      readonly origin: string;
      readonly firstSize: number;
      readonly firstRootHash: string;
      readonly size: number;
      readonly rootHash: string;
      /** RFC 9162 §2.1.4.1, lower hexadecimal. */
      readonly proof: readonly string[];
    }
  | Broken;

/** That the log, as it stands, begins with what the earlier checkpoint `since` signed. */
export async function proveConsistency(
  options: ProveOptions,
  since: string,
): Promise<ConsistencyVerdict> {
  const first = openCheckpoint(since, await verifierOf(options));
  if (first.kind === 'refused') {
    return broken('bad_signature', 0, `the earlier checkpoint is refused: ${first.code}`);
  }
  const { checkpoint } = await newestCheckpoint(options);
  const { size: firstSize, rootHash: firstRootHash } = first.checkpoint;
  const { size, rootHash, origin } = checkpoint;
  if (firstSize > size) {
    return broken('truncated', size, `${firstSize} records were signed earlier, ${size} now`);
  }
  const reader = new TileReader(options.directory, size);
  if (!equalBytes(await reader.rootHash(), rootHash)) {
    return broken('tile_edited', 0, `the tiles do not give the root of the ${size} records signed`);
  }
  const proof: Proof = await reader.consistencyProof(firstSize);
  if (!verifyConsistency({ firstSize, firstRootHash, size, rootHash, proof })) {
    const detail = `two histories were signed: of ${firstSize} records and of ${size}, and they differ`;
    return broken('forked', Math.max(0, firstSize - 1), detail);
  }
  return {
    kind: 'consistent',
    origin,
    firstSize,
    firstRootHash: toHex(firstRootHash),
    size,
    rootHash: toHex(rootHash),
    proof: proof.map(toHex),
  };
}

/** The key given, or the log's own copy. Throws {@link AuditError} `audit_verifier_invalid`. */
export async function verifierOf(options: ProveOptions): Promise<NoteVerifier> {
  const text = options.verifierKey ?? (await readIfPresent(verifierPath(options.directory)));
  if (text !== undefined) return parseVerifier(text);
  throw new AuditError('audit_unreadable', `${options.directory} has no verifier.pub`, {
    remedy: "give the CA's data directory",
  });
}

async function lineAt(options: ProveOptions, index: number): Promise<Uint8Array> {
  const segments = await listSegmentsIn(options);
  const segment = segments.findLast(({ firstIndex }) => firstIndex <= index);
  if (segment !== undefined) {
    let next = segment.firstIndex;
    for await (const { lines } of readLines(segment.path)) {
      const line = lines[index - next];
      if (line !== undefined) return line.slice();
      next += lines.length;
    }
  }
  throw new AuditError('audit_record_unknown', `record ${index} is not in ${options.directory}`, {
    remedy: 'its segment was archived: say where with --archive',
  });
}
