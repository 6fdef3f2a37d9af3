/** Join tokens and attested nodes on the admin API. */

import type { RouteOptions } from 'fastify';
import type { z } from 'zod';
import {
  createTokenSchema,
  type NodeView,
  noBody,
  nodeListSchema,
  noParams,
  noQuery,
  tokenSchema,
} from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { joinTokenNodeId } from '../attestation/join-token-attestor.ts';
import { rootSha256 } from '../authority/authorities.ts';
import type { ConnectedNodes } from '../node-api/connected-nodes.ts';
import type { AttestedNode } from '../registry/attested-node.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function nodeRoutes(deps: AdminDeps): RouteOptions[] {
  const { registry, audit, authorities, connected, trustDomain } = deps;

  return [
    operationRoute(tokenOperation, async ({ body }, { actor }) => {
      const { ttlSeconds = ttlSecondsDefault, alias } = body;
      const aliasId = alias === undefined ? undefined : parseSpiffeId(alias);
      const { text, token } = await registry.createToken({
        ttlMs: ttlSeconds * 1000,
        ...(aliasId === undefined ? {} : { aliasId }),
      });
      const expiresAt = new Date(token.expiresAtMs).toISOString();
      await audit.append({
        actor,
        type: 'token.created',
        tokenId: token.id,
        expiresAt,
        ...(aliasId === undefined ? {} : { aliasId }),
      });
      return {
        token: text,
        spiffeId: joinTokenNodeId(trustDomain, token.id),
        expiresAt,
        rootSha256: rootSha256(authorities.trust.current().activeRoot),
      };
    }),
    operationRoute(listOperation, async (_input, { sees }) => {
      const nodes: NodeView[] = [];
      for (let after: string | undefined; ; ) {
        const page = await registry.listNodes(after === undefined ? {} : { after });
        const seen = page.items.filter(({ id, aliasId }) => sees(aliasId ?? id));
        nodes.push(...seen.map((node) => nodeView(node, connected)));
        if (page.next === undefined) break;
        after = page.next;
      }
      return { nodes, revision: deps.store.revision() };
    }),
  ];
}

function nodeView(node: AttestedNode, connected: ConnectedNodes): NodeView {
  const connection = connected.get(node.id);
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
  };
}

const ttlSecondsDefault = 600;

const tokenOperation = {
  id: 'createToken',
  method: 'POST',
  path: '/v1/tokens',
  summary: 'A join token, with which one node may attest once',
  resource: 'tokens',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: createTokenSchema,
  answer: tokenSchema,
  // Without an alias the node is of nobody's path, and only a role without paths may make it.
  scope: ({ body }: { body: z.output<typeof createTokenSchema> }) => [body.alias ?? 'a new node'],
} as const;

const listOperation = {
  id: 'listNodes',
  method: 'GET',
  path: '/v1/nodes',
  summary: 'Attested nodes, and whether each is connected',
  resource: 'nodes',
  verb: 'read',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: nodeListSchema,
  scope: 'filtered',
} as const;
