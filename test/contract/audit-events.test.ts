/** The manual of the audit log shows every record that the CA can write, and none that it cannot. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseRecord } from '../../ca/audit/record-line.ts';
import { canonicalJson, utf8Bytes } from '../../core/index.ts';

const source = readFileSync(new URL('../../ca/audit/event.ts', import.meta.url), 'utf8');
const manual = readFileSync(new URL('../../docs/ca/audit.md', import.meta.url), 'utf8');

// The members of the union are the only strings of this form in the file.
const types = [...source.matchAll(/'([a-z]+(?:_[a-z]+)*\.[a-z_]+)'/g)].map(([, type]) => type);
const examples = [...manual.matchAll(/^`([a-z_.]+)`: [^\n]+\n\n```json\n(.+)\n```$/gm)].map(
  ([, type = '', line = '']) => ({ type, line }),
);

describe('the manual of the audit log', () => {
  test('has an example of each type of record, once', () => {
    expect(types.length).toBeGreaterThan(30);
    expect(examples.map(({ type }) => type)).toEqual(expect.arrayContaining(types));
    expect(examples.length).toBe(types.length);
  });

  test.for(examples)('$type is shown as the log would have it', ({ type, line }) => {
    const record = parseRecord(utf8Bytes(line));
    expect(record).toMatchObject({ type, actor: { kind: expect.any(String) } });
    expect(canonicalJson(JSON.parse(line))).toBe(line);
  });
});
