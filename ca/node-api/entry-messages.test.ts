import { expect, test } from 'vitest';
import { NodeApiService, SyncResponse } from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { entryMessage, nodeApiDefinition } from './entry-messages.ts';

function entry(id: string, more: Partial<RegistrationEntry> = {}): RegistrationEntry {
  return {
    id,
    spiffeId: parseSpiffeId(`spiffe://mesh.test/${id}`),
    parentId: parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/a'),
    selectors: [parseSelector('unix:uid:1')],
    dnsNames: ['a.test'],
    hint: 'é',
    federatesWith: [],
    admin: false,
    priority: -3,
    createdAtMs: 1_795_385_412_788,
    revision: 2,
    ...more,
  };
}

const whole: SyncResponse = {
  revision: 2n ** 40n,
  entries: [entry('a'), entry('b', { x509SvidTtlMs: 1000 })].map((each) =>
    entryMessage(each, 5000),
  ),
  bundle: Buffer.from('{"keys":[]}'),
  activeRootKeyId: 'aa',
  crls: [Buffer.from([1, 2]), Buffer.from([3])],
  revokedSerials: ['0a', '0b'],
  taintedKeyIds: ['cc'],
  derivables: [],
  secrets: [{ name: 'a', version: 3n, entryIds: ['a', 'b'] }],
  federatedBundles: { 'other.test': Buffer.from('{"keys":[]}') },
};

test.for<[string, SyncResponse]>([
  ['a whole state', whole],
  ['no entries', { ...whole, entries: [] }],
  ['nothing at all', SyncResponse.decode(new Uint8Array())],
])('is decoded as the generated code decodes its own: %s', ([, state]) => {
  const { responseSerialize, responseDeserialize } = NodeApiService.sync;
  // The second time from what is remembered.
  for (const _ of [1, 2]) {
    const bytes = nodeApiDefinition.sync.responseSerialize(state);
    expect(responseDeserialize(bytes)).toEqual(responseDeserialize(responseSerialize(state)));
    expect(bytes.length).toBe(responseSerialize(state).length);
  }
});

test('an entry is one message for all nodes, and another with another default', () => {
  const one = entry('c');
  expect(entryMessage(one, 5000)).toBe(entryMessage(one, 5000));
  expect(entryMessage(one, 5000).x509SvidTtlMs).toBe(5000n);
  expect(entryMessage(one, 6000).x509SvidTtlMs).toBe(6000n);
  // A changed entry is another object.
  expect(entryMessage({ ...one, revision: 3 }, 6000).revision).toBe(3n);
});
