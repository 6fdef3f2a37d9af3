import { expect, test } from 'vitest';
import { toHex } from '../core/index.ts';
import { buildAuthority } from '../test/fakes/build-path.ts';
import { parsePem, parsePemCertificates, PemError, pemEncode } from './pem.ts';

const first = buildAuthority({ name: 'first' });
const second = buildAuthority({ name: 'second' });
const pem = (der: Uint8Array): string => pemEncode('CERTIFICATE', der);

test('lines have 64 characters, and the text ends with a line break', () => {
  const lines = pem(first.der).split('\n');
  expect(lines[0]).toBe('-----BEGIN CERTIFICATE-----');
  expect(lines.at(-2)).toBe('-----END CERTIFICATE-----');
  expect(lines.at(-1)).toBe('');
  expect(lines.slice(1, -3).every((line) => line.length === 64)).toBe(true);
});

test.for<[name: string, text: string]>([
  ['two blocks', pem(first.der) + pem(second.der)],
  ['text around the blocks', `a root:\n${pem(first.der)}\nanother:\n${pem(second.der)}the end`],
  ['line ends of Windows', (pem(first.der) + pem(second.der)).replaceAll('\n', '\r\n')],
  ['no line break at the end', (pem(first.der) + pem(second.der)).trimEnd()],
  ['longer lines', unwrapped(first.der) + unwrapped(second.der)],
])('certificates are read from %s', ([, text]) => {
  expect(parsePemCertificates(text).map(({ der }) => toHex(der))).toEqual(
    [first.der, second.der].map(toHex),
  );
});

const der = Uint8Array.of(1, 2, 3);

test.for<[name: string, text: string, code: string]>([
  ['nothing', '', 'pem_malformed'],
  ['no block', 'hello', 'pem_malformed'],
  ['no END', '-----BEGIN CERTIFICATE-----\nAQID\n', 'pem_malformed'],
  ['no BEGIN', 'AQID\n-----END CERTIFICATE-----\n', 'pem_malformed'],
  [
    'an END of another label',
    '-----BEGIN CERTIFICATE-----\nAQID\n-----END X-----\n',
    'pem_malformed',
  ],
  [
    'a BEGIN inside',
    '-----BEGIN A-----\n-----BEGIN A-----\nAQID\n-----END A-----\n',
    'pem_malformed',
  ],
  ['an empty block', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n', 'pem_malformed'],
  [
    'a character outside base64',
    '-----BEGIN CERTIFICATE-----\nAQI*\n-----END CERTIFICATE-----\n',
    'pem_malformed',
  ],
  [
    'missing padding',
    '-----BEGIN CERTIFICATE-----\nAQ\n-----END CERTIFICATE-----\n',
    'pem_malformed',
  ],
  [
    'headers of the old form',
    '-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAQID\n-----END A-----\n',
    'pem_malformed',
  ],
  ['a key among certificates', pem(first.der) + pemEncode('PRIVATE KEY', der), 'pem_label'],
  ['more text than is read', 'x'.repeat(4 * 1024 * 1024 + 1), 'pem_size'],
  ['more certificates than are read', pemEncode('CERTIFICATE', der).repeat(1001), 'pem_size'],
])('%s is refused', ([, text, code]) => {
  expect(() => parsePemCertificates(text)).toThrow(expect.objectContaining({ code }));
});

test('blocks of every label are read, and a refusal shows none of their text', () => {
  const text = pemEncode('PRIVATE KEY', der) + pemEncode('CERTIFICATE REQUEST', der);
  expect(parsePem(text)).toEqual([
    { label: 'PRIVATE KEY', der },
    { label: 'CERTIFICATE REQUEST', der },
  ]);
  const secret = '-----BEGIN PRIVATE KEY-----\nc2VjcmV0*\n-----END PRIVATE KEY-----\n';
  expect(() => parsePem(secret)).toThrow(PemError);
  expect(() => parsePem(secret)).not.toThrow(/c2VjcmV0/);
});

function unwrapped(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}
