import { expect, test } from 'vitest';
import { AuditError } from '../audit/audit-error.ts';
import { nameResourceFault, ResourceFault } from './resource-fault.ts';

const system = (code: string): Error =>
  Object.assign(new Error(`${code}: said the system`), { code });

test.for([
  ['ENOSPC', 'disk_full'],
  ['EDQUOT', 'disk_full'],
  ['EROFS', 'disk_read_only'],
  ['EPERM', 'disk_read_only'],
  ['EMFILE', 'descriptors_exhausted'],
  ['ENFILE', 'descriptors_exhausted'],
] as const)('%s is named %s, however deep it lies', ([code, expected]) => {
  const cause = new Error('outer', { cause: system(code) });
  const named = nameResourceFault(new AuditError('audit_write_failed', 'the log', { cause }));
  expect(named).toMatchObject({ code: expected, kind: 'unavailable', retryAfterMs: 2000 });
});

test('what the database says in words is understood too', () => {
  const cause = new Error('IO error: /data/000005.log: No space left on device');
  expect(nameResourceFault(new Error('batch', { cause }))).toMatchObject({ code: 'disk_full' });
});

test('everything else stays what it is', () => {
  for (const error of [system('EIO'), new Error('else'), 'text', undefined]) {
    expect(nameResourceFault(error)).toBe(error);
  }
  expect(nameResourceFault(system('ENOSPC'))).toBeInstanceOf(ResourceFault);
});
