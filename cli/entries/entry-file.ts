/** A file of registration entries: YAML (JSON is YAML too) or JSON lines, each entry with its line. */

import { extname } from 'node:path';
import { isMap, isSeq, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { type CreateEntry, createEntrySchema, importEntriesMax } from '../../api/index.ts';
import { CodedError } from '../../core/index.ts';

export interface EntryInFile {
  readonly line: number;
  readonly entry: CreateEntry;
}

export interface FileFault {
  readonly line: number;
  readonly detail: string;
}

/** One error for the whole file: a line for each fault. */
export class EntryFileError extends CodedError<'entry_file'> {
  override readonly name = 'EntryFileError';
  override readonly kind = 'invalid_argument';

  constructor(fileName: string, faults: readonly FileFault[]) {
    const lines = faults
      .toSorted((left, right) => left.line - right.line)
      .map(({ line, detail }) => `${fileName}:${line}: ${detail}`);
    super('entry_file', lines.join('\n'), { remedy: 'nothing was imported; mend the file' });
  }
}

/** By the name's ending: `.jsonl` and `.ndjson` are JSON lines. Throws {@link EntryFileError}. */
export function parseEntryFile(text: string, fileName: string): readonly EntryInFile[] {
  const isLines = ['.jsonl', '.ndjson'].includes(extname(fileName));
  const values = isLines ? jsonLines(text, fileName) : yamlItems(text, fileName);
  if (values.length > importEntriesMax) {
    const detail = `${values.length} entries, at most ${importEntriesMax} are imported at once`;
    throw new EntryFileError(fileName, [{ line: 1, detail }]);
  }
  const faults: FileFault[] = [];
  const entries: EntryInFile[] = [];
  for (const { line, value } of values) {
    const result = createEntrySchema.safeParse(value);
    if (result.success) entries.push({ line, entry: result.data });
    else faults.push(...result.error.issues.map((issue) => ({ line, detail: describe(issue) })));
  }
  if (faults.length > 0) throw new EntryFileError(fileName, faults.slice(0, faultsMax));
  return entries;
}

interface Value {
  readonly line: number;
  readonly value: unknown;
}

function jsonLines(text: string, fileName: string): readonly Value[] {
  const values: Value[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    try {
      values.push({ line: index + 1, value: JSON.parse(line) });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new EntryFileError(fileName, [{ line: index + 1, detail: error.message }]);
    }
  }
  return values;
}

/** A list of entries, or a map with `entries`. */
function yamlItems(text: string, fileName: string): readonly Value[] {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  const lineAt = (offset: number): number => Math.max(1, lineCounter.linePos(offset).line);
  if (document.errors.length > 0) {
    const faults = document.errors.map(({ pos, message }) => ({
      line: lineAt(pos[0]),
      detail: message.split('\n')[0] ?? message,
    }));
    throw new EntryFileError(fileName, faults);
  }
  const { contents } = document;
  const list = isMap(contents) ? contents.get('entries', true) : contents;
  if (!isSeq(list)) {
    const detail = 'is neither a list of entries nor a map with `entries`';
    throw new EntryFileError(fileName, [{ line: 1, detail }]);
  }
  // maxAliasCount bounds "billion laughs" expansion of anchors.
  const values = z.array(z.unknown()).parse(list.toJS(document, { maxAliasCount: 100 }));
  return values.map((value, index) => {
    const item = list.items[index];
    const offset = isMap(item) ? (item.range?.[0] ?? 0) : 0;
    return { line: lineAt(offset), value };
  });
}

function describe({ path, message }: z.core.$ZodIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`;
}

const faultsMax = 100;
