/** Whatever an operator changes in the registry is on record before it stands: a kill at any write leaves no deed without its record. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify, { type FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom, silentLogger, WatchSource } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain } from '../../spiffe/index.ts';
import { dyingWrites } from '../../test/fakes/dying-writes.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { MemoryStore } from '../../test/fakes/memory-store.ts';
import { RecordingAuditLog } from '../../test/fakes/recording-audit-log.ts';
import { makeTestPki, type TestPki } from '../../test/fakes/test-pki.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { AuditEvent } from '../audit/event.ts';
import { unquestionedClock } from '../authority/clock-trust.ts';
import { ConnectedNodes } from '../node-api/connected-nodes.ts';
import { createRegistry, type Registry } from '../registry/registry.ts';
import { parseSelector } from '../registry/selector.ts';
import { openRevocations } from '../revocation/revocations.ts';
import { storePrefixes } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { admit } from './admin-context.ts';
import { entryRoutes } from './entry-routes.ts';
import { nodeRoutes } from './node-routes.ts';
import { replyWithProblem } from './problem-reply.ts';
import { revocationRoutes } from './revocation-routes.ts';
import { ruleRoutes } from './rule-routes.ts';

const nowMs = Date.UTC(2026, 10, 22, 12);
const trustDomain = parseTrustDomain('mesh.test');
const nodeId = parseSpiffeId('spiffe://mesh.test/signet/node/join-token/0123456789abcdef');
const nodePath = 'join-token/0123456789abcdef';
const draft = {
  spiffeId: 'spiffe://mesh.test/web',
  parentId: 'spiffe://mesh.test/pool',
  selectors: ['unix:uid:1000'],
};
const rule = { template: 'spiffe://{td}/host/{x509pop.cn}', selectors: ['unix:uid:1'] };

let directory = '';
let pki: TestPki;
beforeAll(async () => {
  pki = await makeTestPki({ nowMs });
  directory = mkdtempSync(join(tmpdir(), 'signet-recorded-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Call {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly payload?: object;
}

interface Mutation {
  readonly type: AuditEvent['type'];
  /** Makes what the call is about, and says the call. */
  readonly prepare: (registry: Registry) => Call | Promise<Call>;
}

const put = (registry: Registry, changes: object = {}): Promise<void> =>
  registry.putNode({
    id: nodeId,
    attestor: 'join_token',
    selectors: [parseSelector('x:1')],
    serial: '0a',
    notAfterMs: nowMs + 1000,
    attestedAtMs: nowMs,
    ...changes,
  });

const mutations: Readonly<Record<string, Mutation>> = {
  'an entry created': {
    type: 'entry.created',
    prepare: () => ({ method: 'POST', url: '/v1/entries', payload: draft }),
  },
  'an entry updated': {
    type: 'entry.updated',
    async prepare(registry) {
      const { id } = await registry.createEntry(draft);
      return { method: 'PUT', url: `/v1/entries/${id}`, payload: { ...draft, hint: 'new' } };
    },
  },
  'an entry deleted': {
    type: 'entry.deleted',
    async prepare(registry) {
      const { id } = await registry.createEntry(draft);
      return { method: 'DELETE', url: `/v1/entries/${id}` };
    },
  },
  'entries imported': {
    type: 'entry.created',
    prepare: () => ({ method: 'POST', url: '/v1/entries/import', payload: { entries: [draft] } }),
  },
  'entries pruned by an import': {
    type: 'entry.deleted',
    async prepare(registry) {
      await registry.createEntry(draft);
      return { method: 'POST', url: '/v1/entries/import', payload: { entries: [], prune: true } };
    },
  },
  'a rule created': {
    type: 'rule.created',
    prepare: () => ({ method: 'POST', url: '/v1/rules', payload: rule }),
  },
  'a rule deleted': {
    type: 'rule.deleted',
    async prepare(registry) {
      const { id } = await registry.createRule(rule);
      return { method: 'DELETE', url: `/v1/rules/${id}` };
    },
  },
  'a token created': {
    type: 'token.created',
    prepare: () => ({ method: 'POST', url: '/v1/tokens', payload: {} }),
  },
  'a token deleted': {
    type: 'token.deleted',
    async prepare(registry) {
      const { token } = await registry.createToken({ ttlMs: 1000 });
      return { method: 'DELETE', url: `/v1/tokens/${token.id}` };
    },
  },
  'a node evicted': {
    type: 'node.evicted',
    async prepare(registry) {
      await put(registry);
      return { method: 'POST', url: `/v1/nodes/${nodePath}/evict`, payload: { reason: 'old' } };
    },
  },
  'a node banned': {
    type: 'node.banned',
    async prepare(registry) {
      await put(registry);
      return { method: 'POST', url: `/v1/nodes/${nodePath}/ban`, payload: { reason: 'stolen' } };
    },
  },
  'a node let in again': {
    type: 'node.unbanned',
    async prepare(registry) {
      await put(registry, { banned: { atMs: nowMs, reason: 'stolen' } });
      return { method: 'POST', url: `/v1/nodes/${nodePath}/unban`, payload: {} };
    },
  },
  'nodes pruned': {
    type: 'node.removed',
    async prepare(registry) {
      await put(registry, { notAfterMs: nowMs - 10_000 });
      return { method: 'POST', url: '/v1/nodes/prune', payload: { expiredForSeconds: 1 } };
    },
  },
  'a node removed by a revocation': {
    type: 'node.removed',
    async prepare(registry) {
      await put(registry);
      return { method: 'POST', url: '/v1/revocations', payload: { node: nodeId } };
    },
  },
};

/** The routes as the CA has them, for a caller who may do everything. */
async function appOf(p: { readonly store: Store; readonly audit: AuditLog }): Promise<{
  readonly app: FastifyInstance;
  readonly close: () => Promise<void>;
}> {
  const clock = new ManualClock(nowMs);
  const registry = createRegistry({ ...p, clock, trustDomain, random: seededRandom(1) });
  const revocations = await openRevocations({
    ...p,
    auditDirectory: directory,
    clock,
    log: silentLogger,
    issuers: () => [],
    trust: new WatchSource(0),
    backdateMs: 0,
    issuingMs: 1000,
  });
  const deps = {
    ...p,
    registry,
    revocations,
    clock,
    clockJudgement: unquestionedClock,
    trustDomain,
    connected: new ConnectedNodes(clock),
    lifetimes: { rootMs: 1e6, issuingMs: 1e5, x509SvidMs: 1000, nodeSvidMs: 1000, backdateMs: 0 },
    jwt: { lifetimes: { ttlMs: 1000, ttlMsMax: 1000 } },
    authorities: { trust: { current: () => ({ activeRoot: pki.root }) } },
  };
  const app = fastify();
  app.setErrorHandler((error, _request, reply) => replyWithProblem(error, reply, silentLogger));
  const actor = { kind: 'admin', id: 'uid:0' } as const;
  app.addHook('onRequest', async (request) => {
    const caller = { actor, grants: [], mayGive: () => true, mayGiveAll: true };
    admit(request, caller, undefined, undefined);
  });
  const routes = [entryRoutes, ruleRoutes, nodeRoutes, revocationRoutes];
  for (const route of routes.flatMap((each) => each(deps))) app.route(route);
  return {
    app,
    async close() {
      await app.close();
      await revocations.close();
    },
  };
}

async function contentOf(store: Store): Promise<ReadonlyMap<string, string>> {
  const { entries, nodes, tokens, rules } = storePrefixes;
  const pages = await Promise.all(
    [entries, nodes, tokens, rules].map((prefix) => store.range({ prefix })),
  );
  const items = pages.flatMap((page) => page.items);
  return new Map(items.map(({ key, value }) => [key, Buffer.from(value).toString('hex')]));
}

async function world(mutation: Mutation) {
  const store = new MemoryStore();
  const clock = new ManualClock(nowMs);
  const registry = createRegistry({ store, clock, trustDomain, random: seededRandom(7) });
  const call = await mutation.prepare(registry);
  return { store, audit: new RecordingAuditLog(), call, before: await contentOf(store) };
}

describe.for(Object.entries(mutations))('%s', ([, mutation]) => {
  test('is done, with one record', async () => {
    const { store, audit, call, before } = await world(mutation);
    const { app, close } = await appOf({ store, audit });
    expect((await app.inject(call)).statusCode).toBe(200);
    expect(await contentOf(store)).not.toEqual(before);
    expect(audit.types()).toEqual([mutation.type]);
    await close();
  });

  test('a kill at any write leaves it undone, or on record', async () => {
    for (const effect of ['lost', 'written'] as const) {
      let ended = false;
      for (let fatal = 0; !ended; fatal += 1) {
        const { store, audit, call, before } = await world(mutation);
        const { app, close } = await appOf(dyingWrites({ store, audit }, fatal, effect));
        ended = (await app.inject(call)).statusCode === 200;
        const isDone =
          JSON.stringify([...(await contentOf(store))]) !== JSON.stringify([...before]);
        const where = `${effect} at write ${fatal}`;
        if (isDone) expect(audit.types(), where).toContain(mutation.type);
        expect(fatal).toBeLessThan(10);
        await close();
      }
    }
  });

  test('is not done while it cannot be recorded', async () => {
    const { store, audit, call, before } = await world(mutation);
    const { app, close } = await appOf({ store, audit });
    audit.failing = true;
    expect((await app.inject(call)).statusCode).toBeGreaterThanOrEqual(400);
    expect(await contentOf(store)).toEqual(before);
    await close();
  });
});
