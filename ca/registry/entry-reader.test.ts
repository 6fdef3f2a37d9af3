import { expect, test } from 'vitest';
import { utf8Bytes } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { entryReader } from './entry-reader.ts';
import { entryCodec } from './record-codec.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import { parseSelector } from './selector.ts';

const entry: RegistrationEntry = {
  id: '01a2054f-4cb4-7d95-9edf-35d76f23be81',
  createdAtMs: 1_795_385_412_788,
  revision: 3,
  spiffeId: parseSpiffeId('spiffe://mesh.test/billing'),
  parentId: parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/a'),
  selectors: [parseSelector('unix:uid:1'), parseSelector('unix:user:é')],
  dnsNames: [],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: -1,
};
const key = 'entries/x';

test.for<[string, RegistrationEntry]>([
  ['the plainest', entry],
  [
    'with every member',
    {
      ...entry,
      x509SvidTtlMs: 1000,
      expiresAtMs: 0,
      dnsNames: ['a.test', 'b.test'],
      hint: 'main',
      federatesWith: [parseTrustDomain('other.test')],
      admin: true,
    },
  ],
])('an entry is read as the codec reads it: %s', ([, written]) => {
  const reader = entryReader();
  const value = entryCodec.encode(written);
  expect(entryCodec.decode({ key, value })).toEqual(written);
  // The second time from what is known already.
  for (const _ of [1, 2]) expect(reader.decode({ key, value })).toEqual(written);
});

test('every record with one member changed is judged as the codec judges it', () => {
  const reader = entryReader();
  const whole = { schema: 1, ...entry, x509SvidTtlMs: 1000, expiresAtMs: 1 };
  const outcomes = { read: 0, refused: 0 };
  for (const member of Object.keys(whole)) {
    for (const value of wrongOrRight) {
      const json = JSON.stringify({ ...whole, [member]: value });
      const item = { key, value: utf8Bytes(json) };
      const expected = attempt(() => entryCodec.decode(item));
      expect(
        attempt(() => reader.decode(item)),
        json,
      ).toEqual(expected);
      outcomes[expected === 'registry_record_invalid' ? 'refused' : 'read'] += 1;
    }
  }
  expect(outcomes.read).toBeGreaterThan(20);
  expect(outcomes.refused).toBeGreaterThan(100);
});

test.for(['', '{', '[]', 'null', '"text"', '{"schema":2}'])('%s is no entry', (text) => {
  const item = { key, value: utf8Bytes(text) };
  expect(() => entryReader().decode(item)).toThrow("the store's entries/x cannot be read");
});

function attempt(read: () => RegistrationEntry): unknown {
  try {
    return read();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
}

// JSON leaves out a member that is undefined.
const wrongOrRight = [
  undefined,
  null,
  true,
  '',
  'text',
  'unix:uid:2',
  'spiffe://mesh.test/x',
  -1,
  0,
  1,
  1.5,
  1e300,
  [],
  [1],
  ['text'],
  ['unix:uid:2'],
  ['other.test'],
  {},
];
