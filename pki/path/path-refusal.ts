/** Why a certification path is refused: a value, because a bad peer is an expected outcome. */

import type { Certificate } from '../certificate.ts';
import { formatName, isEmptyName } from '../name.ts';

export type PathRefusalCode =
  | 'chain_empty'
  | 'chain_length'
  | 'untrusted'
  | 'not_yet_valid'
  | 'expired'
  | 'unknown_critical_extension'
  | 'purpose'
  | 'key_usage'
  | 'not_a_ca'
  | 'path_length'
  | 'name_constraint'
  | 'key'
  | 'signature'
  | 'search_exhausted';

export interface PathRefusal {
  readonly kind: 'refused';
  readonly code: PathRefusalCode;
  /** One line for a log; it names the certificate. */
  readonly detail: string;
}

export function refused(code: PathRefusalCode, detail: string): PathRefusal {
  return { kind: 'refused', code, detail };
}

/** A certificate as a message names it: its serial, and its URI or else its subject. */
export function describeCertificate(certificate: Certificate): string {
  const [uri] = certificate.extensions.subjectAltName?.uris ?? [];
  return `certificate ${certificate.serial} of ${JSON.stringify(uri ?? subjectText(certificate))}`;
}

function subjectText({ subject }: Certificate): string {
  return isEmptyName(subject) ? 'no name' : formatName(subject);
}
