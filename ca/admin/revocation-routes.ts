/** Revocation on the admin API: revoke, list, lift a block. */

import type { RouteOptions } from 'fastify';
import type { z } from 'zod';
import {
  noBody,
  noParams,
  noQuery,
  type Revoke,
  type RevocationView,
  revocationListSchema,
  revocationPageSchema,
  revokeSchema,
  revokedSchema,
  unblockedSchema,
  unblockSchema,
} from '../../api/index.ts';
import { pemEncode } from '../../pki/index.ts';
import { parseSpiffeId, type SpiffeId } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import { RegistryError } from '../registry/registry-error.ts';
import { serialText } from '../revocation/live-leaves.ts';
import type { IssuanceBlock, Revocation, RevocationTarget } from '../revocation/revocation.ts';
import { RevocationError } from '../revocation/revocation-error.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export type RevocationRouteDeps = Pick<
  AdminDeps,
  'revocations' | 'registry' | 'connected' | 'audit'
>;

export function revocationRoutes(deps: RevocationRouteDeps): RouteOptions[] {
  const { revocations } = deps;
  return [
    operationRoute(revokeOperation, async ({ body }, { actor }) => {
      const { reason = 'unspecified', block = false } = body;
      const target = targetOf(body);
      // A node first loses its place: what it held is revoked once it can get nothing new.
      const evicted =
        target.by === 'node' ? await evict(deps, actor, parseSpiffeId(target.value)) : undefined;
      const { revoked, before, ...rest } = await revocations
        .revoke({
          actor,
          target,
          reason,
          block,
          // One that attests anew meanwhile starts with new ones; a blocked one gets none.
          ...(evicted === undefined || block ? {} : { only: evicted }),
        })
        .catch((error: unknown) => {
          const isNothing = error instanceof RevocationError && error.code === 'revocation_nothing';
          if (evicted !== undefined && isNothing) return { revoked: [], before: [] };
          throw error;
        });
      await leaveOut(deps, target, revoked);
      return {
        revoked: revoked.map(revocationView),
        before: before.map(revocationView),
        ...('block' in rest ? { block: blockView(rest.block) } : {}),
      };
    }),
    operationRoute(listOperation, async ({ query }, { sees }) => {
      const { items, next } = revocations.list(query);
      const isFirst = query.after === undefined;
      const { pushes, lastPushMs, applications, lastAppliedMs } = revocations.times;
      return {
        revocations: items.filter(({ spiffeId }) => sees(spiffeId)).map(revocationView),
        ...(next === undefined ? {} : { next }),
        blocks: (isFirst ? revocations.blocks() : [])
          .filter(({ spiffeId }) => sees(spiffeId))
          .map(blockView),
        crls: isFirst
          ? revocations.state.current().crls.map((der) => pemEncode('X509 CRL', der))
          : [],
        times: { pushes, lastPushMs, applications, lastAppliedMs },
      };
    }),
    operationRoute(unblockOperation, async ({ body: { spiffeId } }, { actor }) => ({
      spiffeId,
      wasBlocked: await revocations.unblock(actor, parseSpiffeId(spiffeId)),
    })),
  ];
}

function targetOf({ serial, spiffeId, node, issuer }: Revoke): RevocationTarget {
  if (serial !== undefined) return { by: 'serial', value: serialText(serial) };
  if (spiffeId !== undefined) return { by: 'spiffe_id', value: parseSpiffeId(spiffeId) };
  if (node !== undefined) return { by: 'node', value: parseSpiffeId(node) };
  return { by: 'issuer', value: issuer ?? '' };
}

/**
 * The node's record and token go, so that neither its certificate nor its token brings it back. The serials of
 * what it had until then; undefined if it had no place. A banned one has none, and its record stays, as the ban does.
 */
async function evict(
  { registry, connected, revocations, audit }: RevocationRouteDeps,
  actor: Actor,
  nodeId: SpiffeId,
): Promise<ReadonlySet<string> | undefined> {
  try {
    await registry.removeNode(nodeId, () => audit.append({ actor, type: 'node.removed', nodeId }));
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.code !== 'node_not_found' && error.code !== 'node_banned') throw error;
    return undefined;
  }
  connected.evict(nodeId);
  return new Set(await revocations.serialsOf({ by: 'node', value: nodeId }));
}

/**
 * A node whose present certificate is revoked cannot come back with it: no rotation waits for it. Nor with its
 * join token: who has the one key may have the other, which is in the same memory. Of an issuer that is
 * revoked the nodes' keys are nobody's, and their tokens stay.
 */
async function leaveOut(
  { registry, connected }: RevocationRouteDeps,
  target: RevocationTarget,
  revoked: readonly Revocation[],
): Promise<void> {
  for (const { spiffeId, serial } of revoked) {
    if (!spiffeId.includes('/signet/node/')) continue;
    const node = await registry.getNode(parseSpiffeId(spiffeId));
    if (node?.serial !== serial) continue;
    if (target.by !== 'issuer') await registry.removeTokensOf(node);
    connected.evict(node.id);
  }
}

function revocationView(revocation: Revocation): RevocationView {
  const { serial, spiffeId, nodeId, issuerKeyId, notAfterMs, reason, revokedAtMs } = revocation;
  return {
    serial,
    spiffeId,
    ...(nodeId === undefined ? {} : { node: nodeId }),
    issuerKeyId,
    notAfter: new Date(notAfterMs).toISOString(),
    reason,
    revokedAt: new Date(revokedAtMs).toISOString(),
    actor: revocation.actor.id,
  };
}

function blockView({ spiffeId, reason, blockedAtMs, actor }: IssuanceBlock) {
  return { spiffeId, reason, blockedAt: new Date(blockedAtMs).toISOString(), actor: actor.id };
}

const revokeOperation = {
  id: 'revoke',
  method: 'POST',
  path: '/v1/revocations',
  summary: 'Revoke certificates by serial, SPIFFE ID, node or issuing authority',
  resource: 'revocations',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: revokeSchema,
  answer: revokedSchema,
  // A serial or an authority is of nobody's path: only a role without paths may name one.
  scope: ({ body }: { body: z.output<typeof revokeSchema> }) => [
    body.spiffeId ?? 'a serial, a node or an authority',
  ],
} as const;

const listOperation = {
  id: 'listRevocations',
  method: 'GET',
  path: '/v1/revocations',
  summary: 'What is revoked and has not ended, what is blocked, and the signed lists',
  resource: 'revocations',
  verb: 'read',
  params: noParams,
  query: revocationPageSchema,
  body: noBody,
  answer: revocationListSchema,
  scope: 'filtered',
} as const;

const unblockOperation = {
  id: 'unblock',
  method: 'POST',
  path: '/v1/revocations/unblock',
  summary: 'Issue certificates for a blocked SPIFFE ID again',
  resource: 'revocations',
  verb: 'act',
  params: noParams,
  query: noQuery,
  body: unblockSchema,
  answer: unblockedSchema,
  scope: ({ body }: { body: z.output<typeof unblockSchema> }) => [body.spiffeId],
} as const;
