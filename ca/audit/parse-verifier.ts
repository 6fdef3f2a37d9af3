/** The key that somebody gave to check a log with. */

import { AuditError } from './audit-error.ts';
import { type NoteVerifier, parseVerifierKey } from './signed-note.ts';

/** Throws {@link AuditError} `audit_verifier_invalid`. */
export function parseVerifier(text: string): NoteVerifier {
  const verifier = parseVerifierKey(text.trim());
  if (verifier !== undefined) return verifier;
  throw new AuditError(
    'audit_verifier_invalid',
    `${JSON.stringify(text.slice(0, 80))} is not a verifier key`,
    { remedy: 'give the line of verifier.pub as it was when the log began' },
  );
}
