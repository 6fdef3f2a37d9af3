/** Writes one head into one buffer: kept lines as spliced bytes, new ones as text. */

import { Buffer } from 'node:buffer';
import { checkField, checkFieldName, type HeadEdits, type HeaderField } from './head-edits.ts';
import { fieldStride, type HeaderBlock } from './header-block.ts';
import { foldedOctet } from './octets.ts';

export interface HeadParts {
  /** The start line with its CRLF; empty where it is spliced. Every character is one byte. */
  readonly startLine: string;
  /** Where in the bytes of `headers` the splice begins: at the received start line or the first field. */
  readonly from: number;
  readonly headers: HeaderBlock;
  /** Known fields and folded names whose lines are left out. */
  readonly dropMask: number;
  readonly dropNames: readonly string[];
  /** Field lines of our own, without the empty line. */
  readonly ownLines: string;
}

export function writeHead(parts: HeadParts): Buffer {
  const { startLine, ownLines } = parts;
  const { raw } = parts.headers;
  const runs = keptRuns(parts);
  let length = startLine.length + ownLines.length + lineEnd.length;
  for (let at = 0; at < runs.length; at += 2) length += (runs[at + 1] ?? 0) - (runs[at] ?? 0);
  const bytes = Buffer.allocUnsafe(length);
  let position = startLine === '' ? 0 : bytes.write(startLine, 0, 'latin1');
  for (let at = 0; at < runs.length; at += 2) {
    position += raw.copy(bytes, position, runs[at], runs[at + 1]);
  }
  bytes.write(ownLines + lineEnd, position, 'latin1');
  return bytes;
}

/** Start and end of every stretch of lines that stays, as long as possible: each is one copy. */
function keptRuns({ headers, from, dropMask, dropNames }: HeadParts): readonly number[] {
  const { fields, fieldsEnd } = headers;
  const runs: number[] = [];
  let start = from;
  for (let at = 0; at < fields.length; at += fieldStride) {
    if (!isDropped(headers, at, dropMask, dropNames)) continue;
    const end = fields[at] ?? fieldsEnd;
    if (end > start) runs.push(start, end);
    start = fields[at + fieldStride] ?? fieldsEnd;
  }
  if (fieldsEnd > start) runs.push(start, fieldsEnd);
  return runs;
}

/** Checks the edits; the names whose received fields they leave out, folded as `checkFieldName` does. */
export function droppedNames(edits: HeadEdits, named: readonly string[]): readonly string[] {
  const { set = [], remove = [] } = edits;
  if (set.length + remove.length === 0) return named;
  const names = [...named];
  for (const [name] of set) names.push(checkFieldName(name));
  for (const name of remove) names.push(checkFieldName(name));
  return names;
}

/** Checks the fields that the edits bring, and writes them down. */
export function editedLines(edits: HeadEdits): string {
  return fieldLines(edits.set) + fieldLines(edits.add);
}

function fieldLines(fields: readonly HeaderField[] = []): string {
  let lines = '';
  for (const [name, value] of fields) {
    checkField(name, value);
    lines += `${name}: ${value}${lineEnd}`;
  }
  return lines;
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
  const start = fields[at] ?? 0;
  const length = (fields[at + 1] ?? 0) - start;
  for (const name of dropNames) {
    if (name.length === length && isSpelt(raw, start, name)) return true;
  }
  return false;
}

function isSpelt(raw: Buffer, start: number, foldedName: string): boolean {
  for (let at = 0; at < foldedName.length; at += 1) {
    if (foldedOctet[raw[start + at] ?? 0] !== foldedName.charCodeAt(at)) return false;
  }
  return true;
}

const lineEnd = '\r\n';
