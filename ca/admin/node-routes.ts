/** Join tokens and attested nodes on the admin API. */

import type { RouteOptions } from 'fastify';
import {
  createTokenSchema,
  type NodeList,
  type NodeView,
  type TokenView,
} from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { joinTokenNodeId } from '../attestation/join-token-attestor.ts';
import { rootSha256 } from '../authority/authorities.ts';
import type { ConnectedNodes } from '../node-api/connected-nodes.ts';
import type { AttestedNode } from '../registry/attested-node.ts';
import { actorOf, type AdminDeps, parseWith } from './admin-context.ts';
import { getRoute, postRoute } from './route.ts';

export function nodeRoutes(deps: AdminDeps): RouteOptions[] {
  const { registry, audit, authorities, connected, trustDomain } = deps;

  return [
    postRoute('/v1/tokens', async (request): Promise<TokenView> => {
      const { ttlSeconds = ttlSecondsDefault, alias } = parseWith(createTokenSchema, request.body);
      const aliasId = alias === undefined ? undefined : parseSpiffeId(alias);
      const { text, token } = await registry.createToken({
        ttlMs: ttlSeconds * 1000,
        ...(aliasId === undefined ? {} : { aliasId }),
      });
      const expiresAt = new Date(token.expiresAtMs).toISOString();
      await audit.append({
        actor: actorOf(request),
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
    getRoute('/v1/nodes', async (): Promise<NodeList> => {
      const nodes: NodeView[] = [];
      for (let after: string | undefined; ; ) {
        const page = await registry.listNodes(after === undefined ? {} : { after });
        nodes.push(...page.items.map((node) => nodeView(node, connected)));
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
