/** A checkpoint: what the log says of itself, signed (C2SP tlog-checkpoint). */

import type { KeyObject } from 'node:crypto';
import { fromBase64, toBase64 } from '../../core/index.ts';
import { hashBytes } from './merkle.ts';
import { type NoteRefusal, type NoteVerifier, openNote, signNote } from './signed-note.ts';

export interface Checkpoint {
  /** The log's name, which is also the name of the key that signs. */
  readonly origin: string;
  readonly size: number;
  readonly rootHash: Uint8Array;
}

export type CheckpointVerdict =
  | { readonly kind: 'signed'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'refused'; readonly code: NoteRefusal | 'checkpoint_malformed' };

export function signCheckpoint(checkpoint: Checkpoint, privateKey: KeyObject): string {
  const { origin, size, rootHash } = checkpoint;
  return signNote(`${origin}\n${size}\n${toBase64(rootHash)}\n`, origin, privateKey);
}

/** The checkpoint in `note`, if `verifier` signed it and it is a checkpoint of the verifier's log. */
export function openCheckpoint(note: string, verifier: NoteVerifier): CheckpointVerdict {
  const opened = openNote(note, verifier);
  if (opened.kind === 'refused') return opened;
  const checkpoint = parseCheckpoint(opened.text);
  return checkpoint?.origin === verifier.name
    ? { kind: 'signed', checkpoint }
    : { kind: 'refused', code: 'checkpoint_malformed' };
}

/** What the text of a checkpoint says; who signed it is not asked. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  // Further lines are extensions, which a reader passes over.
  const [origin = '', size = '', root = ''] = text.split('\n');
  const rootHash = fromBase64(root);
  const isSound = /^(0|[1-9]\d{0,14})$/.test(size) && rootHash?.length === hashBytes;
  return isSound ? { origin, size: Number(size), rootHash } : undefined;
}
