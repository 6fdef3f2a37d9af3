/** Join tokens on the admin API. The text of one is in the answer that made it, and nowhere else. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  createTokenSchema,
  type KnownTokenView,
  knownTokenSchema,
  noBody,
  noParams,
  noQuery,
  pageQuerySchema,
  tokenListSchema,
  tokenSchema,
} from '../../api/index.ts';
import type { Watch } from '../../core/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../spiffe/index.ts';
import { joinTokenNodeId } from '../attestation/join-token-attestor.ts';
import { type RootCertificate, rootSha256 } from '../authority/authorities.ts';
import type { JoinToken } from '../registry/join-token.ts';
import type { AdminDeps } from './admin-context.ts';
import { giftsOfNames } from './node-gifts.ts';
import { operationRoute } from './route.ts';

export interface TokenRouteDeps
  extends Pick<AdminDeps, 'registry' | 'audit' | 'trustDomain' | 'clock'> {
  readonly authorities: {
    readonly trust: Pick<Watch<{ readonly activeRoot: RootCertificate }>, 'current'>;
  };
}

export function tokenRoutes(deps: TokenRouteDeps): RouteOptions[] {
  const { registry, audit, authorities, trustDomain } = deps;
  const nodeIdOf = ({ id }: Pick<JoinToken, 'id'>): SpiffeId => joinTokenNodeId(trustDomain, id);
  /** Whose it is: its alias's path, and without one that of nodes. */
  const nameOf = (token: JoinToken): string => token.aliasId ?? nodeIdOf(token);
  const view = (token: JoinToken): KnownTokenView =>
    tokenView(token, nodeIdOf(token), deps.clock.wallMs());

  return [
    operationRoute(
      {
        ...createOperation,
        gifts: ({ body: { alias } }) =>
          giftsOfNames(deps, new Set(alias === undefined ? [] : [alias])),
      },
      async ({ body }, { actor }) => {
        const { ttlSeconds = ttlSecondsDefault, alias } = body;
        const aliasId = alias === undefined ? undefined : parseSpiffeId(alias);
        const named = aliasId === undefined ? {} : { aliasId };
        const { text, token } = await registry.createToken(
          { ttlMs: ttlSeconds * 1000, ...named },
          ({ id, expiresAtMs }) => {
            const expiresAt = new Date(expiresAtMs).toISOString();
            return audit.append({ actor, type: 'token.created', tokenId: id, expiresAt, ...named });
          },
        );
        return {
          id: token.id,
          token: text,
          spiffeId: nodeIdOf(token),
          expiresAt: new Date(token.expiresAtMs).toISOString(),
          rootSha256: rootSha256(authorities.trust.current().activeRoot),
        };
      },
    ),
    operationRoute(listOperation, async ({ query: { after, limit } }, { sees }) => {
      const page = await registry.listTokens({ limit, ...(after === undefined ? {} : { after }) });
      const tokens = page.items.filter((token) => sees(nameOf(token))).map(view);
      return page.next === undefined ? { tokens } : { tokens, next: page.next };
    }),
    operationRoute(
      {
        ...deleteOperation,
        scope: async ({ params: { id } }) => {
          const token = await registry.getToken(id);
          return token === undefined ? [] : [nameOf(token)];
        },
      },
      async ({ params: { id } }, { actor }) => {
        const token = await registry.deleteToken(id, ({ aliasId }) =>
          audit.append({
            actor,
            type: 'token.deleted',
            tokenId: id,
            ...(aliasId === undefined ? {} : { aliasId }),
          }),
        );
        return view(token);
      },
    ),
  ];
}

function tokenView(token: JoinToken, nodeId: SpiffeId, nowMs: number): KnownTokenView {
  const { id, aliasId, createdAtMs, expiresAtMs, used } = token;
  const unused = nowMs < expiresAtMs ? 'unused' : 'ended';
  return {
    id,
    spiffeId: nodeId,
    ...(aliasId === undefined ? {} : { alias: aliasId }),
    createdAt: new Date(createdAtMs).toISOString(),
    expiresAt: new Date(expiresAtMs).toISOString(),
    state: used === undefined ? unused : 'used',
    ...(used === undefined ? {} : { usedAt: new Date(used.atMs).toISOString() }),
  };
}

const base = { resource: 'tokens', params: noParams, query: noQuery, body: noBody } as const;

const createOperation = {
  ...base,
  id: 'createToken',
  method: 'POST',
  path: '/v1/tokens',
  summary: 'Make a join token; it works once, for one key',
  verb: 'create',
  body: createTokenSchema,
  answer: tokenSchema,
  // Without an alias the node is of nobody's path, and only a role without paths may make it.
  scope: ({ body }: { body: z.output<typeof createTokenSchema> }) => [body.alias ?? 'a new node'],
} as const;

const listOperation = {
  ...base,
  id: 'listTokens',
  method: 'GET',
  path: '/v1/tokens',
  summary: 'Join tokens, unused and used, by their ids and without their texts',
  verb: 'read',
  query: pageQuerySchema,
  answer: tokenListSchema,
  scope: 'filtered',
} as const;

const deleteOperation = {
  ...base,
  id: 'deleteToken',
  method: 'DELETE',
  path: '/v1/tokens/:id',
  summary: 'Delete a join token, so that nobody can join with it; a node that has joined stays',
  verb: 'delete',
  params: z.strictObject({ id: z.string().min(1).max(128) }),
  answer: knownTokenSchema,
} as const;

const ttlSecondsDefault = 600;
