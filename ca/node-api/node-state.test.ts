import { describe, expect, test } from 'vitest';
import { makeTestPki } from '../../test/fakes/test-pki.ts';
import { formatBundle, parseSpiffeId } from '../../spiffe/index.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { nodeApiDefinition } from './entry-messages.ts';
import { nodeState, type StateParts } from './node-state.ts';

const pki = await makeTestPki({ nowMs: 0 });
const entry: RegistrationEntry = {
  id: 'one',
  spiffeId: parseSpiffeId('spiffe://mesh.test/one'),
  parentId: parseSpiffeId('spiffe://mesh.test/pool'),
  selectors: [parseSelector('unix:uid:1')],
  dnsNames: [],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: 0,
  createdAtMs: 0,
  revision: 1,
};
const base: StateParts = {
  trust: {
    bundle: pki.bundle,
    bundleDocument: formatBundle(pki.bundle),
    activeRoot: {
      id: 'root',
      tier: 'root',
      state: 'active',
      certificate: pki.root.certificate,
      preparedAtMs: 0,
    },
    taintedKeyIds: [],
    revision: 1,
  },
  entries: [entry],
  derivables: [],
  secrets: [],
  revocation: { version: 0, crls: [], serials: [] },
  foreign: undefined,
  x509SvidMs: 1000,
};
const derivable = {
  id: 'rule',
  revision: 1,
  selectors: [],
  parts: [],
  hint: '',
  priority: 0,
  createdAtMs: 0,
  federatesWith: [],
};

describe("a node's state", () => {
  test('nodes with the same entries have one object, and its bytes, in common', () => {
    const [one, other] = [nodeState({ ...base }), nodeState({ ...base })];
    expect(other).toBe(one);
    expect(other.message(7n)).toBe(one.message(7n));
    const { responseSerialize } = nodeApiDefinition.sync;
    expect(responseSerialize(other.message(7n))).toBe(responseSerialize(one.message(7n)));
  });

  test.each<[string, Partial<StateParts>]>([
    ['an equal list of entries that is another one', { entries: [entry] }],
    ['no entries', { entries: [] }],
    ["rules of the node's own", { derivables: [derivable] }],
    ['another trust', { trust: { ...base.trust } }],
    ['another state of revocation', { revocation: { ...base.revocation, version: 1 } }],
    ['other secrets', { secrets: [{ name: 's', version: 1n, entryIds: [] }] }],
  ])('%s: nothing in common', (_name, change) => {
    const one = nodeState(base);
    expect(nodeState({ ...base, ...change })).not.toBe(one);
  });

  test('a node that has seen a later number gets its own', () => {
    const state = nodeState(base);
    const [first, second] = [state.message(7n), state.message(8n)];
    expect(first.revision).toBe(7n);
    expect(second).toEqual({ ...first, revision: 8n });
  });
});
