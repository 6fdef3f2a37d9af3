/** A JWT-SVID on an operator's word: for a job that has no agent beside it. It is on the record as such. */

import type { RouteOptions } from 'fastify';
import { mintedJwtSchema, mintJwtSchema, noParams, noQuery } from '../../api/index.ts';
import type { Actor } from '../audit/event.ts';
import { IssuanceRefusedError } from '../issuance/issuance-refusal.ts';
import { mintJwtSvid } from '../jwt/mint-jwt-svid.ts';
import type { AdminDeps } from './admin-context.ts';
import { grantedEntry } from './granted-entry.ts';
import { operationRoute } from './route.ts';

export function jwtRoutes(deps: AdminDeps): RouteOptions[] {
  return [
    operationRoute(
      {
        ...mintOperation,
        scope: async ({ body }) => [(await grantedEntry(deps, body.entryId)).spiffeId],
      },
      async ({ body: { entryId, audience, ttlSeconds } }, { actor }) => {
        const entry = await grantedEntry(deps, entryId);
        // The clock, the rates and the fair turns that nodes are held to: a key does not ask for whom it signs.
        const minted = await deps.gate.sign(callerOf(actor), () =>
          mintJwtSvid(deps.jwt, {
            actor,
            entry,
            audience,
            ...(ttlSeconds === undefined ? {} : { ttlMs: ttlSeconds * 1000 }),
          }),
        );
        if (minted.kind === 'refused') throw new IssuanceRefusedError(minted);
        const { token, id, jti, expiresAtMs } = minted;
        return { token, spiffeId: id, jti, expiresAt: new Date(expiresAtMs).toISOString() };
      },
    ),
  ];
}

/** A person who repeats a command does so from another process. */
function callerOf({ id, uid }: Actor): string {
  return `admin ${uid ?? id}`;
}

const mintOperation = {
  id: 'mintJwtSvid',
  method: 'POST',
  path: '/v1/jwt-svids',
  summary: 'Mints a JWT-SVID for an entry, with no workload attested',
  // A resource of its own: whoever may create entries may not therefore be every workload.
  resource: 'jwt-svids',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: mintJwtSchema,
  answer: mintedJwtSchema,
} as const;
