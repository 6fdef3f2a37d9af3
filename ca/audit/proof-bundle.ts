/**
 * A record and the proof that it is in the log, as one text that needs nothing but the log's key
 * (C2SP tlog-proof). The record itself travels as the form's extra data.
 */

import { fromBase64, toBase64, toHex } from '../../core/index.ts';
import { type CheckpointVerdict, openCheckpoint } from './checkpoint.ts';
import type { AuditRecord } from './event.ts';
import { hashBytes, leafHashOf } from './merkle.ts';
import { type Proof, verifyInclusion } from './merkle-proof.ts';
import { parseRecord } from './record-line.ts';
import { parseVerifier } from './parse-verifier.ts';

export interface ProofBundle {
  /** The line of the record, without its newline: what the leaf hash is over. */
  readonly line: Uint8Array;
  readonly index: number;
  readonly proof: Proof;
  /** The signed note, as it was written. */
  readonly checkpoint: string;
}

export type ProofVerdict =
  | {
      readonly kind: 'proven';
      readonly origin: string;
      readonly index: number;
      readonly size: number;
      /** Lower hexadecimal. */
      readonly rootHash: string;
      readonly record: AuditRecord;
    }
  | {
      readonly kind: 'refused';
      readonly code:
        | Extract<CheckpointVerdict, { kind: 'refused' }>['code']
        | 'proof_malformed'
        | 'record_malformed'
        | 'not_included';
      readonly detail: string;
    };

export function formatProofBundle(bundle: ProofBundle): string {
  const { line, index, proof, checkpoint } = bundle;
  const hashes = proof.map((hash) => `${toBase64(hash)}\n`).join('');
  return `${header}\nextra ${toBase64(line)}\nindex ${index}\n${hashes}\n${checkpoint}`;
}

/** The bundle of a text, or undefined if it is not one. It proves nothing yet. */
export function parseProofBundle(text: string): ProofBundle | undefined {
  if (text.length > textLengthMax) return undefined;
  const divide = text.indexOf('\n\n');
  if (divide === -1) return undefined;
  const [first, extra = '', index = '', ...hashes] = text.slice(0, divide).split('\n');
  const line = /^extra (\S+)$/.exec(extra)?.[1];
  const number = /^index (0|[1-9]\d{0,14})$/.exec(index)?.[1];
  if (first !== header || line === undefined || number === undefined) return undefined;
  const bytes = fromBase64(line);
  const proof = hashes.map(fromBase64).filter((hash) => hash?.length === hashBytes);
  const whole = proof.filter((hash) => hash !== undefined);
  if (bytes === undefined || whole.length !== hashes.length) return undefined;
  if (hashes.length > proofLengthMax) return undefined;
  return { line: bytes, index: Number(number), proof: whole, checkpoint: text.slice(divide + 2) };
}

/**
 * Whether the log of `verifierKey` holds the record: the checkpoint is signed, and the proof leads to its
 * root. Throws AuditError `audit_verifier_invalid`.
 */
export function verifyProofBundle(text: string, verifierKey: string): ProofVerdict {
  const verifier = parseVerifier(verifierKey);
  const bundle = parseProofBundle(text);
  if (bundle === undefined) return refused('proof_malformed', 'it is not a proof of a record');
  const verdict = openCheckpoint(bundle.checkpoint, verifier);
  if (verdict.kind === 'refused') {
    return refused(verdict.code, `its checkpoint is not one that ${verifier.name} signed`);
  }
  const { origin, size, rootHash } = verdict.checkpoint;
  const { index, proof, line } = bundle;
  const record = parseRecord(line);
  if (record === undefined || record.index !== index) {
    return refused('record_malformed', `what it carries is not record ${index}`);
  }
  const isIncluded = verifyInclusion({ index, size, leafHash: leafHashOf(line), proof, rootHash });
  return isIncluded
    ? { kind: 'proven', origin, index, size, rootHash: toHex(rootHash), record }
    : refused('not_included', `record ${index} is not in the log of ${size} that was signed`);
}

function refused(
  code: Extract<ProofVerdict, { kind: 'refused' }>['code'],
  detail: string,
): ProofVerdict {
  return { kind: 'refused', code, detail };
}

const header = 'c2sp.org/tlog-proof@v1';
// A tree that needs more hashes has more records than an index has digits.
const proofLengthMax = 64;
// The largest record in base64, the hashes and a checkpoint with many cosignatures.
const textLengthMax = 256 * 1024;
