/** Object identifiers of the certificate extensions we know (RFC 5280 §4.2). */

export const extensionOid = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** Object identifiers of the extensions of revocation lists and of their entries (RFC 5280 §5.2, §5.3). */
export const crlExtensionOid = {
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
} as const;
