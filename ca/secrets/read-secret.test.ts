import { createSecretKey } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { systemRandom, utf8Bytes } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { createKeyStore } from '../authority/key-store.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { parseSelector } from '../registry/selector.ts';
import { type ReadSecretDeps, readSecret, sessionTicketKeys } from './read-secret.ts';
import { openSecretSeal } from './sealed-values.ts';
import { createSecretStore, type SecretStore } from './secret-store.ts';
import { createTicketKeys } from './ticket-keys.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const trustDomain = parseTrustDomain('mesh.test');
const web = parseSpiffeId('spiffe://mesh.test/web');
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/join_token/a');
const caller = { id: nodeId, address: '10.0.0.1:5' };
const entry: RegistrationEntry = {
  id: 'entry-1',
  spiffeId: web,
  parentId: nodeId,
  selectors: [parseSelector('unix:uid:1000')],
  dnsNames: [],
  hint: '',
  federatesWith: [],
  admin: false,
  priority: 0,
  createdAtMs: startMs,
  revision: 1,
};

let audit: RecordingAuditLog;
let store: SecretStore;
/** What the registry and the deny list say now. */
let world: { node: boolean; entry: RegistrationEntry | undefined; blocked: string | undefined };
let deps: ReadSecretDeps;

beforeEach(async () => {
  const memory = new MemoryStore();
  const clock = new ManualClock(startMs);
  const keyStore = createKeyStore(createSecretKey(Buffer.alloc(32, 1)), systemRandom);
  const seal = await openSecretSeal({ store: memory, keyStore, random: systemRandom });
  audit = new RecordingAuditLog();
  store = createSecretStore({ store: memory, seal, trustDomain, clock });
  world = { node: true, entry, blocked: undefined };
  const tickets = createTicketKeys({
    store: memory,
    keyStore,
    clock,
    random: systemRandom,
    epochMs: 3_600_000,
  });
  const authority = {
    isNode: () => world.node,
    authorizedEntry: (_node: string, id: string) =>
      id === world.entry?.id ? world.entry : undefined,
    whyBlocked: () => world.blocked,
  };
  const gate: ReadSecretDeps['gate'] = { sign: (_node, task) => task() };
  deps = { secrets: { store, tickets }, authority, gate, audit, clock };
  for (const value of ['one', 'two']) {
    const values = new Map([['', utf8Bytes(value)]]);
    await store.put({ name: 'db', allow: [web], values, by: 'uid:0' }, async () => {});
  }
  const values = new Map([['', utf8Bytes('x')]]);
  const allow = ['spiffe://mesh.test/api'];
  await store.put({ name: 'not-yours', allow, values, by: 'uid:0' }, async () => {});
});

const read = (name: string, more: { version?: bigint; entryId?: string } = {}) =>
  readSecret(deps, { entryId: 'entry-1', name, version: 0n, selectors: [], ...more }, caller);
const keys = () => sessionTicketKeys(deps, { entryId: 'entry-1', selectors: [] }, caller);

describe('a node that reads a secret', () => {
  test('gets the newest version, or the one it names, and each read is recorded', async () => {
    expect((await read('db')).values['']?.toString()).toBe('two');
    expect((await read('db', { version: 1n })).values['']?.toString()).toBe('one');
    await expect(read('db', { version: 9n })).rejects.toMatchObject({ code: 'secret_version' });
    expect(audit.events).toEqual(
      [2, 1].map((version) => ({
        actor: { kind: 'node', ...caller },
        type: 'secret.read',
        name: 'db',
        version,
        spiffeId: web,
        entryId: 'entry-1',
      })),
    );
  });

  test('learns nothing of those that are not for the identity: they are as those that are not', async () => {
    const messages = await Promise.all(
      ['not-yours', 'not-there', '../x'].map((name) =>
        read(name).catch((error: Error) => error.message.replace(name, 'NAME')),
      ),
    );
    expect(messages).toEqual(messages.map(() => `${web} may have no secret "NAME"`));
    expect(audit.types()).toEqual(messages.map(() => 'secret.denied'));
  });

  test('gets nothing without a durable record', async () => {
    audit.failing = true;
    await expect(read('db')).rejects.toMatchObject({ code: 'audit_write_failed' });
    await expect(keys()).rejects.toMatchObject({ code: 'audit_write_failed' });
    audit.failing = false;
    expect((await read('db')).version).toBe(2n);
    expect((await keys()).keys).toHaveLength(1);
  });
});

test.for<[string, () => void, string]>([
  ['a node that is shut out', () => (world.node = false), 'node_unknown'],
  ['an entry that is not its own', () => (world.entry = undefined), 'entry_not_authorized'],
  ['an identity that is blocked', () => (world.blocked = 'stolen'), 'id_blocked'],
  [
    'an entry that has ended',
    () => (world.entry = { ...entry, expiresAtMs: startMs }),
    'entry_ending',
  ],
])('%s is refused both, and was not before', async ([, change, code]) => {
  await read('db');
  await keys();
  change();
  await expect(read('db')).rejects.toMatchObject({ code });
  await expect(keys()).rejects.toMatchObject({ code });
  expect(audit.types()).toEqual(['secret.read', 'secret.read', 'secret.denied', 'secret.denied']);
});
