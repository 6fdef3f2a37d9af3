import { describe, expect, test } from 'vitest';
import { parseTrustDomain } from '../../spiffe/index.ts';
import { parseRegistrationEntry } from './parse-registration-entry.ts';
import {
  type EntryDraft,
  EntryError,
  entryIdentity,
  type EntryFaultCode,
} from './registration-entry.ts';

const trustDomain = parseTrustDomain('mesh.test');
const draft: EntryDraft = {
  spiffeId: 'spiffe://mesh.test/billing/api',
  parentId: 'spiffe://mesh.test/signet/node/join-token/1',
  selectors: ['unix:uid:1000'],
};

describe('parsing a registration entry', () => {
  test('what is left out has a usable value', () => {
    expect(parseRegistrationEntry(draft, trustDomain)).toEqual({
      spiffeId: 'spiffe://mesh.test/billing/api',
      parentId: 'spiffe://mesh.test/signet/node/join-token/1',
      selectors: ['unix:uid:1000'],
      dnsNames: [],
      hint: '',
      federatesWith: [],
      admin: false,
      priority: 0,
    });
  });

  test('everything that can be said', () => {
    const full: EntryDraft = {
      ...draft,
      selectors: ['unix:uid:1', 'unix:gid:2', 'unix:uid:1'],
      x509SvidTtlMs: 10_000,
      dnsNames: ['api.mesh.test', '*.api.mesh.test', 'api.mesh.test'],
      hint: 'internal',
      federatesWith: ['other.test'],
      admin: true,
      priority: -5,
    };
    expect(parseRegistrationEntry(full, trustDomain)).toEqual({
      ...full,
      selectors: ['unix:gid:2', 'unix:uid:1'],
      dnsNames: ['api.mesh.test', '*.api.mesh.test'],
    });
  });

  test.for<[name: string, change: Partial<EntryDraft>, field: string, code: EntryFaultCode]>([
    ['no ID', { spiffeId: '' }, 'spiffeId', 'entry_spiffe_id'],
    ['not an ID', { spiffeId: 'http://mesh.test/a' }, 'spiffeId', 'entry_spiffe_id'],
    ['upper-case domain', { spiffeId: 'spiffe://Mesh.test/a' }, 'spiffeId', 'entry_spiffe_id'],
    ['other domain', { spiffeId: 'spiffe://other.test/a' }, 'spiffeId', 'entry_trust_domain'],
    ['root path', { spiffeId: 'spiffe://mesh.test' }, 'spiffeId', 'entry_root_path'],
    ['the CA', { spiffeId: 'spiffe://mesh.test/signet/ca' }, 'spiffeId', 'entry_reserved_path'],
    ['reserved', { spiffeId: 'spiffe://mesh.test/signet' }, 'spiffeId', 'entry_reserved_path'],
    ['no parent', { parentId: '' }, 'parentId', 'entry_parent_id'],
    ['foreign parent', { parentId: 'spiffe://other.test/a' }, 'parentId', 'entry_trust_domain'],
    ['root parent', { parentId: 'spiffe://mesh.test' }, 'parentId', 'entry_parent_id'],
    ['odd parent', { parentId: 'spiffe://mesh.test/signet/x' }, 'parentId', 'entry_parent_id'],
    ['no selectors', { selectors: [] }, 'selectors', 'entry_selectors_empty'],
    ['bad selector', { selectors: ['unix:uid:1', 'x'] }, 'selectors[1]', 'entry_selector'],
    ['many selectors', { selectors: numbered(65) }, 'selectors', 'entry_selectors_many'],
    ['TTL of nothing', { x509SvidTtlMs: 0 }, 'x509SvidTtlMs', 'entry_ttl'],
    ['TTL under a second', { x509SvidTtlMs: 999 }, 'x509SvidTtlMs', 'entry_ttl'],
    ['JWT TTL of nothing', { jwtSvidTtlMs: 0 }, 'jwtSvidTtlMs', 'entry_ttl'],
    ['TTL of half a ms', { x509SvidTtlMs: 1000.5 }, 'x509SvidTtlMs', 'entry_ttl'],
    ['TTL not a number', { x509SvidTtlMs: Number.NaN }, 'x509SvidTtlMs', 'entry_ttl'],
    ['TTL over a year', { x509SvidTtlMs: 366 * 86_400_000 }, 'x509SvidTtlMs', 'entry_ttl'],
    ['DNS in upper case', { dnsNames: ['API.test'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['DNS with a dot last', { dnsNames: ['api.test.'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['DNS of dashes', { dnsNames: ['-a.test'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['an IP address', { dnsNames: ['10.0.0.1'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['every host of all', { dnsNames: ['*'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['a star of one label', { dnsNames: ['*.test'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['a star inside', { dnsNames: ['a.*.test'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['a long label', { dnsNames: [`${'a'.repeat(64)}.test`] }, 'dnsNames[0]', 'entry_dns_name'],
    ['a long name', { dnsNames: ['a.'.repeat(127) + 'bb'] }, 'dnsNames[0]', 'entry_dns_name'],
    ['many DNS names', { dnsNames: Array(65).fill('a.test') }, 'dnsNames', 'entry_dns_names_many'],
    ['long hint', { hint: 'a'.repeat(1025) }, 'hint', 'entry_hint'],
    ['hint of two lines', { hint: 'a\nb' }, 'hint', 'entry_hint'],
    [
      'federates with itself',
      { federatesWith: ['mesh.test'] },
      'federatesWith[0]',
      'entry_federates_with',
    ],
    [
      'federates with a URL',
      { federatesWith: ['https://o'] },
      'federatesWith[0]',
      'entry_federates_with',
    ],
    [
      'federates with many',
      { federatesWith: Array(65).fill('o') },
      'federatesWith',
      'entry_federates_with_many',
    ],
    ['half a priority', { priority: 0.5 }, 'priority', 'entry_priority'],
    ['a huge priority', { priority: 1e9 }, 'priority', 'entry_priority'],
  ])('refuses %s', ([, change, field, code]) => {
    expect(faultsOf({ ...draft, ...change })).toEqual([
      { field, code, detail: expect.stringMatching(/./) },
    ]);
  });

  test.for<[name: string, change: Partial<EntryDraft>]>([
    ['the CA as parent: a node alias', { parentId: 'spiffe://mesh.test/signet/ca' }],
    ['an alias as parent', { parentId: 'spiffe://mesh.test/cluster' }],
    ['a path that only looks reserved', { spiffeId: 'spiffe://mesh.test/signets/a' }],
    ['the most selectors', { selectors: numbered(64) }],
    ['the shortest life of a token', { jwtSvidTtlMs: 1000 }],
    ['the shortest life', { x509SvidTtlMs: 1000 }],
    ['the longest life', { x509SvidTtlMs: 365 * 86_400_000 }],
    ['a star of two labels', { dnsNames: ['*.a.test'] }],
    ['a single label', { dnsNames: ['localhost'] }],
    ['a name that ends in a letter after digits', { dnsNames: ['10.0.0.1a'] }],
    ['the longest hint', { hint: 'a'.repeat(1024) }],
    ['the highest priority', { priority: 1_000_000 }],
  ])('takes %s', ([, change]) => {
    expect(parseRegistrationEntry({ ...draft, ...change }, trustDomain)).toBeDefined();
  });

  test('reports every fault at once, in one line, with the first as its code', () => {
    const bad = {
      spiffeId: 'spiffe://other.test/a',
      parentId: 'x',
      selectors: ['a', 'b'],
      hint: '\0',
    };
    const error = errorOf(bad);
    expect(error.faults.map(({ field }) => field)).toEqual([
      'spiffeId',
      'parentId',
      'selectors[0]',
      'selectors[1]',
      'hint',
    ]);
    expect(error.code).toBe('entry_trust_domain');
    expect(error.kind).toBe('invalid_argument');
    expect(error.message).toContain('spiffe://other.test/a is not in trust domain mesh.test');
    expect(error.message).not.toContain('\n');
  });

  test('two entries are one identity when parent, ID and set of selectors are', () => {
    const identity = (change: Partial<EntryDraft>) =>
      entryIdentity(
        parseRegistrationEntry({ ...draft, selectors: ['a:1', 'b:2'], ...change }, trustDomain),
      );
    expect(identity({ selectors: ['b:2', 'a:1', 'a:1'], hint: 'x', priority: 2 })).toBe(
      identity({}),
    );
    expect(identity({ selectors: ['a:1'] })).not.toBe(identity({}));
    expect(identity({ spiffeId: 'spiffe://mesh.test/other' })).not.toBe(identity({}));
    expect(identity({ parentId: 'spiffe://mesh.test/other' })).not.toBe(identity({}));
  });
});

function faultsOf(bad: EntryDraft) {
  return errorOf(bad).faults;
}

function errorOf(bad: EntryDraft): EntryError {
  try {
    parseRegistrationEntry(bad, trustDomain);
  } catch (error) {
    if (error instanceof EntryError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `unix:uid:${index}`);
}
