/** Classes of bytes as lookup tables, since every byte of every head passes through one of them. */

export const octet = {
  tab: 0x09,
  lf: 0x0a,
  cr: 0x0d,
  space: 0x20,
  quote: 0x22,
  hyphen: 0x2d,
  colon: 0x3a,
  semicolon: 0x3b,
  equals: 0x3d,
  backslash: 0x5c,
  underscore: 0x5f,
} as const;

/** `tchar` (RFC 9110 §5.6.2): methods, field names, connection options. */
export const isTokenOctet = tableOf((code) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]$/.test(chr(code)));

/** What a field value or reason phrase may hold (RFC 9110 §5.5): VCHAR, obs-text, SP and HTAB. */
export const isFieldOctet = tableOf(
  (code) => code === octet.tab || (code >= octet.space && code !== 0x7f),
);

/**
 * What a request target may hold. RFC 3986 is stricter still, but `|`, `{` and their like arrive from
 * real clients and mean one thing to everybody. Refused are those which do not: white space and
 * controls (where does the target end?), bytes from 0x80 on (in which encoding?), `#` (a fragment is
 * never sent), `\` (a slash to some), and `"`, `<`, `>`.
 */
export const isTargetOctet = tableOf(
  (code) => code > 0x20 && code < 0x7f && !/["#<>\\]/.test(chr(code)),
);

/** Lower case for ASCII letters, every other byte itself. A bit mask would also join `^` to `~`. */
export const lowerOctet = Uint8Array.from({ length: 256 }, (_, code) =>
  code >= 0x41 && code <= 0x5a ? code + 0x20 : code,
);

/** Lower case, and a hyphen for an underscore: the spelling in which two field names are one to some. */
export const foldedOctet = lowerOctet.map((code) =>
  code === octet.underscore ? octet.hyphen : code,
);

/** The value of a hexadecimal digit, or 255. */
export const hexValue = Uint8Array.from({ length: 256 }, (_, code) =>
  /^[0-9A-Fa-f]$/.test(chr(code)) ? Number.parseInt(chr(code), 16) : 255,
);

/** Whether every character is a byte of the class. */
export function isEvery(table: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    if (table[text.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

/**
 * The text without the SP and HTAB around it (`OWS`, RFC 9110 §5.6.3). Not `trim()`, which takes 0xA0
 * for white space too, and no pattern, which would look at long inner runs again and again.
 */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

export function isBlank(code: number | undefined): boolean {
  return code === octet.space || code === octet.tab;
}

/** A byte as a log line shows it. */
export function formatOctet(value: number | undefined): string {
  return `0x${(value ?? 0).toString(16).padStart(2, '0')}`;
}

function tableOf(belongs: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (belongs(code) ? 1 : 0));
}

function chr(code: number): string {
  return String.fromCharCode(code);
}
