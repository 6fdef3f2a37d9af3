/** Shutting a node out: what it could come back with, and its place. */

import type { SpiffeId } from '../../spiffe/index.ts';
import type { Actor } from '../audit/event.ts';
import type { AttestedNode } from '../registry/attested-node.ts';
import { RevocationError } from '../revocation/revocation-error.ts';
import type { AdminDeps } from './admin-context.ts';

type EvictDeps = Pick<AdminDeps, 'registry' | 'audit' | 'connected' | 'revocations'>;

/**
 * Takes what the node could come back with, then its place. In this order a kill in between leaves a node that is
 * refused, and the same call ends the work; the other way round its certificates would count again once it attests anew.
 */
export async function evictNode(
  deps: EvictDeps,
  id: SpiffeId,
  { actor, reason }: { readonly actor: Actor; readonly reason: { reason?: string } | undefined },
): Promise<AttestedNode> {
  const { registry, audit, connected, revocations } = deps;
  const known = await registry.getNode(id);
  // The removal refuses what is no node and what is banned, and then nothing may have been revoked.
  const isRefused = known === undefined || known.banned !== undefined;
  const held = isRefused ? [] : await revocations.serialsOf(holder(id));
  await revokeEach(deps, actor, new Set(held));
  const node = await registry.removeNode(id, () =>
    audit.append({ actor, type: 'node.evicted', nodeId: id, ...reason }),
  );
  connected.evict(id);
  // The one that it renewed by meanwhile, too.
  if (!held.includes(node.serial)) await revokeEach(deps, actor, new Set([node.serial]));
  return node;
}

const holder = (value: SpiffeId) => ({ by: 'spiffe_id', value }) as const;

async function revokeEach(
  { revocations }: EvictDeps,
  actor: Actor,
  serials: ReadonlySet<string>,
): Promise<void> {
  for (const value of serials) {
    try {
      const target = { by: 'serial', value } as const;
      await revocations.revoke({ actor, target, reason: 'cessationOfOperation', block: false });
    } catch (error) {
      // One that has ended by now needs no revocation.
      if (!(error instanceof RevocationError) || error.code !== 'revocation_nothing') throw error;
    }
  }
}
