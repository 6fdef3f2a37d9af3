/** Writes one head into one buffer: kept lines as spliced bytes, new ones as text. */

import { Buffer } from 'node:buffer';
import { fieldStride, type HeaderBlock } from './header-block.ts';
import { checkField, checkFieldName, type HeadEdits } from './head-edits.ts';
import { namesEqual } from './known-field.ts';

export class HeadWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(lengthMax: number) {
    this.#bytes = Buffer.allocUnsafe(lengthMax);
  }

  /** Appends text, a byte for each character. */
  text(text: string): void {
    this.#at += this.#bytes.write(text, this.#at, 'latin1');
  }

  field(name: string, value: string): void {
    this.text(`${name}: ${value}\r\n`);
  }

  slice(source: Buffer, start: number, end: number): void {
    if (start >= end) return;
    this.#at += source.copy(this.#bytes, this.#at, start, end);
  }

  /**
   * Appends the lines of `headers`, in runs as long as possible, without the known fields in
   * `dropMask` and those with a name in `dropNames`.
   */
  keptFields(headers: HeaderBlock, dropMask: number, dropNames: readonly string[]): void {
    const { raw, fields, fieldsEnd } = headers;
    let runStart = fields[0] ?? fieldsEnd;
    for (let at = 0; at < fields.length; at += fieldStride) {
      if (!isDropped(headers, at, dropMask, dropNames)) continue;
      this.slice(raw, runStart, fields[at] ?? fieldsEnd);
      runStart = fields[at + fieldStride] ?? fieldsEnd;
    }
    this.slice(raw, runStart, fieldsEnd);
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}

/** Checks the edits; the names whose received fields they leave out, in lower case. */
export function droppedNames(edits: HeadEdits, named: readonly string[]): readonly string[] {
  if (edits.set === undefined && edits.remove === undefined) return named;
  const names = [...named];
  for (const [name] of edits.set ?? []) names.push(name.toLowerCase());
  for (const name of edits.remove ?? []) {
    checkFieldName(name);
    names.push(name.toLowerCase());
  }
  return names;
}

/** Checks the fields that the edits bring; how many bytes they take at most. */
export function editedBytes(edits: HeadEdits): number {
  return fieldBytes(edits.set) + fieldBytes(edits.add);
}

function fieldBytes(fields: HeadEdits['set'] = []): number {
  let length = 0;
  for (const [name, value] of fields) {
    checkField(name, value);
    length += name.length + value.length + fieldPunctuation;
  }
  return length;
}

function isDropped(
  headers: HeaderBlock,
  at: number,
  dropMask: number,
  dropNames: readonly string[],
): boolean {
  const { raw, fields } = headers;
  const known = fields[at + 4] ?? 0;
  if (known !== 0 && (dropMask & (1 << known)) !== 0) return true;
  for (const name of dropNames) {
    if (namesEqual(raw, fields[at] ?? 0, fields[at + 1] ?? 0, name)) return true;
  }
  return false;
}

// Colon, space, CR, LF.
const fieldPunctuation = 4;
