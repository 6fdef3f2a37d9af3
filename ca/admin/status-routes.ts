/** The CA at a glance, and whether it lives and is ready. */

import type { RouteOptions } from 'fastify';
import type { StatusView } from '../../api/index.ts';
import { toHex } from '../../core/index.ts';
import { AuthorityError } from '../authority/authority-error.ts';
import { activeIssuing } from '../authority/slot.ts';
import type { AdminDeps } from './admin-context.ts';
import { getRoute } from './route.ts';

export function statusRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, audit, clock } = deps;

  return [
    getRoute('/v1/status', async (): Promise<StatusView> => {
      const set = authorities.current();
      return {
        trustDomain: deps.trustDomain,
        version: deps.version,
        startedAt: new Date(deps.startedAtMs).toISOString(),
        now: new Date(clock.wallMs()).toISOString(),
        revision: deps.store.revision(),
        ...deps.counts(),
        nodesConnected: deps.connected.count(),
        issued: deps.issued(),
        activeRootId: authorities.trust.current().activeRoot.id,
        activeIssuingId: activeIssuing(set)?.id ?? '',
        audit: { size: audit.size(), rootHash: toHex(audit.rootHash()) },
        agentAddress: deps.agentAddress,
      };
    }),
    getRoute('/livez', async () => ({ status: 'ok' })),
    // Ready means able to issue: a signing authority that has not ended.
    getRoute('/readyz', async (_request, reply) => {
      try {
        authorities.issuer();
        return { status: 'ok' };
      } catch (error) {
        if (!(error instanceof AuthorityError)) throw error;
        return reply.code(503).send({ status: 'not ready', reason: error.message });
      }
    }),
  ];
}
