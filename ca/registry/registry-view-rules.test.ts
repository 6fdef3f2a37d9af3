import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { seededRandom, silentLogger } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { createRegistry, type Registry } from './registry.ts';
import { openRegistryView, type RegistryView } from './registry-view.ts';
import { parseSelector } from './selector.ts';

const trustDomain = parseTrustDomain('mesh.test');
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/a1');
const otherId = parseSpiffeId('spiffe://mesh.test/signet/node/x509pop/b2');
let clock: ManualClock;
let registry: Registry;
let view: RegistryView;

beforeEach(async () => {
  clock = new ManualClock(1000);
  const deps = { store: new MemoryStore(), trustDomain, clock, random: seededRandom(1) };
  registry = createRegistry(deps);
  view = await openRegistryView({ ...deps, log: silentLogger });
  for (const [id, name] of [
    [nodeId, 'web-7'],
    [otherId, 'db/1'],
  ] as const) {
    await registry.putNode({
      id,
      attestor: 'x509pop',
      selectors: [parseSelector(`x509pop:subject:cn:${name}`)],
      serial: '0a',
      notAfterMs: 100_000,
      attestedAtMs: 1000,
    });
  }
});
afterEach(() => view.close());

const rule = { template: 'spiffe://{td}/host/{x509pop.cn}', selectors: ['unix:uid:1'] };
const entry = { parentId: nodeId, selectors: ['unix:uid:1'] };
const served = (): readonly string[] => view.entriesOf(nodeId).map(({ spiffeId }) => spiffeId);

test('a rule gives each node it fits an entry of its own, and no other', async () => {
  const { id } = await registry.createRule(rule);
  const [derived] = view.entriesOf(nodeId);
  expect(derived).toMatchObject({
    id: `rule:${id}:x509pop/a1`,
    spiffeId: 'spiffe://mesh.test/host/web-7',
    parentId: nodeId,
    selectors: ['unix:uid:1'],
  });
  const entryId = derived?.id ?? '';
  expect(view.authorizedEntry(nodeId, entryId)).toEqual(derived);
  expect(view.authorizedEntry(otherId, entryId)).toBeUndefined();
  // A CN with a slash names nobody.
  expect(view.entriesOf(otherId)).toEqual([]);
  for (const strange of [`rule:${id}`, `rule:${id}:`, 'rule::x509pop/a1', `${entryId}x`]) {
    expect(view.authorizedEntry(nodeId, strange)).toBeUndefined();
  }
  await registry.deleteRule(id);
  expect(served()).toEqual([]);
  expect(view.authorizedEntry(nodeId, entryId)).toBeUndefined();
});

test('a rule may be for some nodes only, and stands in order with entries', async () => {
  await registry.createRule({ ...rule, nodeSelectors: ['x509pop:subject:cn:db'] });
  expect(served()).toEqual([]);
  await registry.createEntry({ ...entry, spiffeId: 'spiffe://mesh.test/low' });
  await registry.createRule({ ...rule, priority: 5 });
  await registry.createEntry({ ...entry, spiffeId: 'spiffe://mesh.test/high', priority: 9 });
  expect(served()).toEqual([
    'spiffe://mesh.test/high',
    'spiffe://mesh.test/host/web-7',
    'spiffe://mesh.test/low',
  ]);
});

test('listeners hear of rules, and a node attested anew gets a new revision', async () => {
  const listener = vi.fn();
  view.subscribe(listener, nodeId);
  await registry.createRule(rule);
  expect(listener).toHaveBeenCalledTimes(1);
  const before = view.entriesOf(nodeId)[0]?.revision ?? 0;
  await registry.updateNode(nodeId, (node) => ({ ...node, attestedAtMs: 2000 }));
  expect(view.entriesOf(nodeId)[0]?.revision).toBeGreaterThan(before);
});

test('an entry gives nothing from its end on, and its node is told at that moment', async () => {
  const created = await registry.createEntry({
    ...entry,
    spiffeId: 'spiffe://mesh.test/guest',
    expiresAtMs: 200_000,
  });
  await registry.createEntry({ ...entry, spiffeId: 'spiffe://mesh.test/stays' });
  const listener = vi.fn();
  view.subscribe(listener, nodeId);
  await clock.advance(198_999);
  expect(served()).toContain('spiffe://mesh.test/guest');
  expect(listener).not.toHaveBeenCalled();
  await clock.advance(1);
  expect(listener).toHaveBeenCalledTimes(1);
  expect(served()).toEqual(['spiffe://mesh.test/stays']);
  expect(view.authorizedEntry(nodeId, created.id)).toBeUndefined();
});

test('a banned node is nobody until it is let in again, and no attestation undoes the ban', async () => {
  const created = await registry.createEntry({ ...entry, spiffeId: 'spiffe://mesh.test/web' });
  const node = await registry.getNode(nodeId);
  if (node === undefined) throw new Error('no node');
  await registry.updateNode(nodeId, (old) => ({ ...old, banned: { atMs: 1000, reason: 'lost' } }));
  expect(view.isNode(nodeId)).toBe(false);
  expect(served()).toEqual([]);
  expect(view.authorizedEntry(nodeId, created.id)).toBeUndefined();
  await expect(registry.putNode(node)).rejects.toMatchObject({ code: 'node_banned' });
  await expect(registry.removeNode(nodeId)).rejects.toMatchObject({ code: 'node_banned' });
  await registry.updateNode(nodeId, ({ banned: _banned, ...old }) => old);
  expect(view.isNode(nodeId)).toBe(true);
  await registry.putNode(node);
  expect(served()).toEqual(['spiffe://mesh.test/web']);
});

test('a rule gives DNS names, the life of tokens and other trust domains, as an entry does', async () => {
  const agentRule = {
    template: 'spiffe://{td}/user/{unix.user}',
    selectors: ['unix:uid:2'],
    trust: { unix: 'agent' },
  } as const;
  const more = {
    dnsNames: ['{x509pop.cn}.hosts.mesh.test', 'web.mesh.test'],
    federatesWith: ['partner.test'],
    jwtSvidTtlMs: 60_000,
  };
  await registry.createRule({ ...rule, ...more });
  await registry.createRule({ ...agentRule, ...more });
  const expected = { ...more, dnsNames: ['web-7.hosts.mesh.test', 'web.mesh.test'] };
  expect(view.entriesOf(nodeId)).toMatchObject([expected]);
  const [derivable] = view.derivablesOf(nodeId);
  expect(derivable).toMatchObject({ federatesWith: ['partner.test'] });
  const shown = ['unix:uid:2', 'unix:user:ann'];
  expect(view.authorizedEntry(nodeId, derivable?.id ?? '', shown)).toMatchObject({
    spiffeId: 'spiffe://mesh.test/user/ann',
    ...expected,
  });
  // A CN with a slash is no label, so this node has nothing by either.
  expect(view.entriesOf(otherId)).toEqual([]);
  expect(view.derivablesOf(otherId)).toEqual([]);
});

test.for([
  [{ ...rule, dnsNames: ['{x509pop.cn}_x.test'] }, 'template_dns_name'],
  [
    {
      template: 'spiffe://{td}/user/{unix.user}',
      selectors: ['unix:uid:1'],
      trust: { unix: 'agent' },
      // An agent that lies could be any server by it.
      dnsNames: ['{unix.user}.mesh.test'],
    },
    'template_trust',
  ],
  [{ ...rule, federatesWith: ['mesh.test'] }, 'entry_federates_with'],
  [{ ...rule, jwtSvidTtlMs: 1 }, 'entry_ttl'],
  [{ ...rule, template: 'spiffe://other.test/x' }, 'template_trust_domain'],
  [{ ...rule, selectors: [] }, 'entry_selectors_empty'],
  [{ ...rule, nodeSelectors: ['x'] }, 'selector_no_type'],
] as const)('a rule that cannot be is refused: %j', async ([draft, code]) => {
  await expect(registry.createRule(draft)).rejects.toMatchObject({ code });
  await registry.createRule(rule);
  expect((await registry.listRules()).items).toHaveLength(1);
});
