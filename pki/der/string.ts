/** The character string types that occur in names (X.520 DirectoryString, RFC 5280 appendix A). */

import { Buffer } from 'node:buffer';
import { utf8Text } from '../../core/index.ts';
import { DerError } from './der-error.ts';
import { describeTag, tag } from './tag.ts';

/** The text of a string element. Throws if a character is outside the type's alphabet. */
export function decodeString(identifier: number, content: Uint8Array): string {
  const text = textOf(identifier, content);
  if (text === undefined) {
    throw new DerError('der_string', `a character is not allowed in ${describeTag(identifier)}`);
  }
  return text;
}

/** Throws like {@link decodeString}, and is cheap for the plain ASCII that nearly all strings are. */
export function checkString(identifier: number, content: Uint8Array): void {
  if (identifier === tag.utf8String && content.every((octet) => octet < 0x80)) return;
  decodeString(identifier, content);
}

/** The text of IA5String content, which GeneralName holds under a context tag. */
export function decodeIa5(content: Uint8Array): string {
  return decodeString(tag.ia5String, content);
}

export function isStringTag(identifier: number): boolean {
  return stringTags.has(identifier);
}

function textOf(identifier: number, content: Uint8Array): string | undefined {
  switch (identifier) {
    case tag.utf8String:
      return utf8Text(content);
    case tag.printableString:
      return matching(content, printable);
    case tag.numericString:
      return matching(content, numeric);
    case tag.ia5String:
      return matching(content, ascii);
    case tag.visibleString:
      return matching(content, visible);
    case tag.teletexString:
      // T.61 has no agreed mapping; Latin-1 is what every implementation reads.
      return latin1(content);
    case tag.bmpString:
      return content.length % 2 === 0 ? new TextDecoder('utf-16be').decode(content) : undefined;
    case tag.universalString:
      return universal(content);
    default:
      throw new DerError('der_tag', `expected a string, found ${describeTag(identifier)}`);
  }
}

function matching(content: Uint8Array, alphabet: RegExp): string | undefined {
  const text = latin1(content);
  return alphabet.test(text) ? text : undefined;
}

function latin1(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
}

function universal(content: Uint8Array): string | undefined {
  if (content.length % 4 !== 0) return undefined;
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let text = '';
  for (let offset = 0; offset < content.length; offset += 4) {
    const point = view.getUint32(offset);
    if (point > 0x10ffff) return undefined;
    text += String.fromCodePoint(point);
  }
  return text;
}

const printable = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
const numeric = /^[0-9 ]*$/;
// oxlint-disable-next-line no-control-regex -- IA5String is exactly the 128 characters of ASCII.
const ascii = /^[\u0000-\u007f]*$/;
const visible = /^[\u0020-\u007e]*$/;

const stringTags: ReadonlySet<number> = new Set([
  tag.utf8String,
  tag.printableString,
  tag.numericString,
  tag.ia5String,
  tag.visibleString,
  tag.teletexString,
  tag.bmpString,
  tag.universalString,
]);
