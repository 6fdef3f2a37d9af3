/** Why a certificate was revoked: CRLReason, an ENUMERATED (RFC 5280 §5.3.1). */

export type CrlReason = (typeof crlReasons)[number];

/** The number of a reason on the wire. */
export function crlReasonCode(reason: CrlReason): number {
  return codes[reason];
}

/** The reason of a number, or undefined if it is none that a full list may hold. */
export function crlReasonOf(code: number): CrlReason | undefined {
  return crlReasons.find((reason) => codes[reason] === code);
}

// 7 is not used, and removeFromCRL (8) stands in delta lists only.
export const crlReasons = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
] as const;

const codes: Readonly<Record<CrlReason, number>> = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aACompromise: 10,
};
