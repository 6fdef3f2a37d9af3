/** Join tokens on the admin API. */

import type { RouteOptions } from 'fastify';
import type { z } from 'zod';
import { createTokenSchema, noParams, noQuery, tokenSchema } from '../../api/index.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';
import { joinTokenNodeId } from '../attestation/join-token-attestor.ts';
import { rootSha256 } from '../authority/authorities.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function tokenRoute(deps: AdminDeps): RouteOptions {
  const { registry, audit, authorities, trustDomain } = deps;
  return operationRoute(createOperation, async ({ body }, { actor }) => {
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
  });
}

const createOperation = {
  id: 'createToken',
  method: 'POST',
  path: '/v1/tokens',
  summary: 'Make a join token; it works once, for one key',
  resource: 'tokens',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: createTokenSchema,
  answer: tokenSchema,
  // Without an alias the node is of nobody's path, and only a role without paths may make it.
  scope: ({ body }: { body: z.output<typeof createTokenSchema> }) => [body.alias ?? 'a new node'],
} as const;

const ttlSecondsDefault = 600;
