/** Attested nodes on the admin API: look, shut out, let in again, forget. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  AdminError,
  noBody,
  nodeListSchema,
  nodeReasonSchema,
  nodeSchema,
  type NodeView,
  noParams,
  noQuery,
  pageQuerySchema,
  prunedNodesSchema,
  pruneNodesSchema,
} from '../../api/index.ts';
import { type SpiffeId, spiffeIdOf } from '../../spiffe/index.ts';
import type { ConnectedNodes } from '../node-api/connected-nodes.ts';
import type { AttestedNode } from '../registry/attested-node.ts';
import type { AdminDeps } from './admin-context.ts';
import { evictNode } from './evict-node.ts';
import { operationRoute } from './route.ts';
import { type TokenRouteDeps, tokenRoutes } from './token-routes.ts';

export type NodeRouteDeps = TokenRouteDeps &
  Pick<AdminDeps, 'clockJudgement' | 'connected' | 'revocations' | 'store'>;

export function nodeRoutes(deps: NodeRouteDeps): RouteOptions[] {
  const { registry, audit, connected, trustDomain } = deps;
  const view = (node: AttestedNode): NodeView => nodeView(node, connected);
  const idOf = ({ attestor, name }: z.output<typeof nodeName>): SpiffeId =>
    spiffeIdOf(trustDomain, `/signet/node/${attestor}/${name}`);
  const scope = ({ params }: { params: z.output<typeof nodeName> }): readonly string[] => [
    idOf(params),
  ];

  return [
    ...tokenRoutes(deps),
    operationRoute(listOperation, async ({ query: { after, limit } }, { sees }) => {
      const page = await registry.listNodes({ limit, ...(after === undefined ? {} : { after }) });
      const nodes = page.items.filter(({ id }) => sees(id)).map(view);
      const revision = deps.store.revision();
      return page.next === undefined ? { nodes, revision } : { nodes, revision, next: page.next };
    }),
    operationRoute(pruneOperation, async ({ body: { expiredForSeconds } }, { actor }) => {
      // By a clock that is ahead every node's certificate has ended.
      const doubt = deps.clockJudgement.doubt('sure');
      if (doubt !== undefined) throw doubt;
      const endMs = deps.clock.wallMs() - expiredForSeconds * 1000;
      const spiffeIds: string[] = [];
      for (const { id } of await endedNodes(deps, endMs)) {
        await registry.removeNode(id, () =>
          audit.append({ actor, type: 'node.removed', nodeId: id, reason: 'pruned' }),
        );
        connected.evict(id);
        spiffeIds.push(id);
      }
      return { spiffeIds };
    }),
    operationRoute({ ...getOperation, scope }, async ({ params }) => {
      const node = await registry.getNode(idOf(params));
      if (node !== undefined) return view(node);
      throw new AdminError('not_found', 'node_not_found', `there is no node ${idOf(params)}`);
    }),
    operationRoute({ ...evictOperation, scope }, async ({ params, body }, { actor }) => {
      return view(await evictNode(deps, idOf(params), { actor, reason: body }));
    }),
    operationRoute({ ...banOperation, scope }, async ({ params, body }, { actor }) => {
      const banned = { atMs: deps.clock.wallMs(), reason: body?.reason ?? '' };
      const node = await registry.updateNode(
        idOf(params),
        (old) => ({ ...old, banned: old.banned ?? banned }),
        ({ id }) => audit.append({ actor, type: 'node.banned', nodeId: id, ...body }),
      );
      connected.evict(node.id);
      return view(node);
    }),
    operationRoute({ ...unbanOperation, scope }, async ({ params, body }, { actor }) => {
      const node = await registry.updateNode(
        idOf(params),
        ({ banned: _banned, ...old }) => old,
        ({ id }) => audit.append({ actor, type: 'node.unbanned', nodeId: id, ...body }),
      );
      return view(node);
    }),
  ];
}

/** Nodes whose certificate ended before `endMs`. A ban is kept: it is about what comes. */
async function endedNodes(
  { registry }: NodeRouteDeps,
  endMs: number,
): Promise<readonly AttestedNode[]> {
  const ended: AttestedNode[] = [];
  for (let after: string | undefined; ended.length < pruneMax; ) {
    const page = await registry.listNodes({
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    ended.push(
      ...page.items.filter(({ notAfterMs, banned }) => notAfterMs < endMs && banned === undefined),
    );
    if (page.next === undefined) break;
    after = page.next;
  }
  return ended.slice(0, pruneMax);
}

function nodeView(node: AttestedNode, connected: ConnectedNodes): NodeView {
  const connection = connected.get(node.id);
  const { banned } = node;
  return {
    spiffeId: node.id,
    attestor: node.attestor,
    selectors: [...node.selectors],
    attestedAt: new Date(node.attestedAtMs).toISOString(),
    svidSerial: node.serial,
    svidExpiresAt: new Date(node.notAfterMs).toISOString(),
    connected: connection !== undefined,
    appliedRevision: Number(connection?.appliedRevision ?? 0n),
    agentVersion: connection?.agentVersion || (node.agentVersion ?? ''),
    ...(banned === undefined
      ? {}
      : { banned: { at: new Date(banned.atMs).toISOString(), reason: banned.reason } }),
  };
}

/** The tail of the node's SPIFFE ID, `<attestor>/<name>`. */
const nodeName = z.strictObject({
  attestor: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
  name: z.string().regex(/^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,98}$/),
});
const base = { resource: 'nodes', params: noParams, query: noQuery, body: noBody } as const;

const listOperation = {
  ...base,
  id: 'listNodes',
  method: 'GET',
  path: '/v1/nodes',
  summary: 'Attested nodes, in the order of their names',
  verb: 'read',
  query: pageQuerySchema,
  answer: nodeListSchema,
  scope: 'filtered',
} as const;

const pruneOperation = {
  ...base,
  id: 'pruneNodes',
  method: 'POST',
  path: '/v1/nodes/prune',
  summary: 'Forget nodes whose certificate ended long ago; banned ones stay',
  verb: 'delete',
  body: pruneNodesSchema,
  answer: prunedNodesSchema,
} as const;

const one = {
  ...base,
  path: '/v1/nodes/:attestor/:name',
  params: nodeName,
  answer: nodeSchema,
} as const;

const getOperation = {
  ...one,
  id: 'getNode',
  method: 'GET',
  summary: 'One node',
  verb: 'read',
} as const;

const act = { ...one, method: 'POST', verb: 'act', body: nodeReasonSchema.optional() } as const;

const evictOperation = {
  ...act,
  id: 'evictNode',
  path: '/v1/nodes/:attestor/:name/evict',
  summary: 'Shut a node out now; it may be attested again',
} as const;

const banOperation = {
  ...act,
  id: 'banNode',
  path: '/v1/nodes/:attestor/:name/ban',
  summary: 'Shut a node out until it is let in again',
} as const;

const unbanOperation = {
  ...act,
  id: 'unbanNode',
  path: '/v1/nodes/:attestor/:name/unban',
  summary: 'Let a banned node in again',
} as const;

// One call must not hold the log for minutes; the rest goes with the next call.
const pruneMax = 1000;
