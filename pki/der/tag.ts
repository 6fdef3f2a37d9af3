/** Identifier octets of the ASN.1 types that certificates are made of (X.690 §8.1.2). */

export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of `[number]` around a primitive value, as IMPLICIT tagging writes it. */
export function contextTag(number: number): number {
  return 0x80 | number;
}

/** The identifier octet of `[number]` around other elements, as EXPLICIT tagging writes it. */
export function explicitTag(number: number): number {
  return 0xa0 | number;
}

export function isConstructed(identifier: number): boolean {
  return (identifier & 0x20) !== 0;
}

export function describeTag(identifier: number | undefined): string {
  if (identifier === undefined) return 'the end';
  const known = Object.entries(tag).find(([, value]) => value === identifier);
  if (known !== undefined) return known[0];
  return `tag 0x${identifier.toString(16).padStart(2, '0')}`;
}
