/** The manual of the audit log shows every record that the CA can write, and none that it cannot or does not. */

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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

const room = join(import.meta.dirname, '../../ca');
const code = globSync('**/*.ts', { cwd: room })
  .filter((file) => !file.endsWith('.test.ts') && file !== join('audit', 'event.ts'))
  .map((file) => readFileSync(join(room, file), 'utf8'))
  .join('\n');

/** Whether some code of the CA makes an event of the type, and not only reads one. */
function isWritten(type: string): boolean {
  const [kind = '', act = ''] = type.split('.');
  const member = `type: '${type}'(?: as const)?[,; }]`;
  const recorded = `(?:recorder|recordAuthority)\\([^;]*?'${type}'`;
  // The steps of a JWT key are acts, and become types where they are recorded.
  const step = `(?:act: |dropped\\([^;]*?)'${act}'`;
  const forms = kind === 'jwt_key' ? [step] : [member, recorded];
  return forms.some((form) => new RegExp(form).test(code));
}

describe('the manual of the audit log', () => {
  test('has an example of each type of record, once', () => {
    expect(types.length).toBeGreaterThan(30);
    expect(examples.map(({ type }) => type)).toEqual(expect.arrayContaining(types));
    expect(examples.length).toBe(types.length);
  });

  test.for(types)('%s is written by the CA', (type = '') => {
    expect(isWritten(type)).toBe(true);
  });

  test('a type that nobody writes would be found', () => {
    expect(isWritten('token.mislaid')).toBe(false);
    expect(isWritten('jwt_key.mislaid')).toBe(false);
  });

  test.for(examples)('$type is shown as the log would have it', ({ type, line }) => {
    const record = parseRecord(utf8Bytes(line));
    expect(record).toMatchObject({ type, actor: { kind: expect.any(String) } });
    expect(canonicalJson(JSON.parse(line))).toBe(line);
  });
});
