/** Signing authorities on the admin API: look, prepare, activate, retire. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { type AuthorityList, type AuthorityView, changeAuthoritySchema } from '../../api/index.ts';
import type { Authority } from '../authority/authority.ts';
import { lastLeafNotAfterMs } from '../authority/slot.ts';
import { actorOf, type AdminDeps, parseWith } from './admin-context.ts';
import { getRoute, postRoute } from './route.ts';

export function authorityRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, connected } = deps;
  const view = (authority: Authority): AuthorityView => authorityView(authority, deps);

  return [
    getRoute(
      '/v1/authorities',
      async (): Promise<AuthorityList> => ({
        authorities: authorities.current().authorities.map(view),
      }),
    ),
    postRoute(
      '/v1/authorities/prepare',
      async (request): Promise<AuthorityView> => view(await authorities.prepare(actorOf(request))),
    ),
    postRoute('/v1/authorities/:id/activate', async (request): Promise<AuthorityView> => {
      const { id } = parseWith(idSchema, request.params);
      const { force = false } = parseWith(changeAuthoritySchema, request.body ?? {});
      const propagation = connected.propagationOf.bind(connected);
      return view(await authorities.activate(actorOf(request), id, propagation, force));
    }),
    postRoute('/v1/authorities/:id/retire', async (request): Promise<AuthorityView> => {
      const { id } = parseWith(idSchema, request.params);
      const { force = false } = parseWith(changeAuthoritySchema, request.body ?? {});
      return view(await authorities.retire(actorOf(request), id, force));
    }),
  ];
}

function authorityView(authority: Authority, deps: AdminDeps): AuthorityView {
  const { certificate, parentId, activatedAtMs } = authority;
  const lastLeafMs = lastLeafNotAfterMs(deps.authorities.current(), authority);
  const inBundle = authority.tier === 'root' && authority.state !== 'retired';
  return {
    id: authority.id,
    tier: authority.tier,
    state: authority.state,
    ...(parentId === undefined ? {} : { parentId }),
    serial: certificate.serial,
    notBefore: timeText(certificate.notBeforeMs),
    notAfter: timeText(certificate.notAfterMs),
    preparedAt: timeText(authority.preparedAtMs),
    ...(activatedAtMs === undefined ? {} : { activatedAt: timeText(activatedAtMs) }),
    ...(lastLeafMs === undefined ? {} : { lastLeafNotAfter: timeText(lastLeafMs) }),
    ...(inBundle ? { propagation: deps.connected.propagationOf(authority.id) } : {}),
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

const idSchema = z.object({ id: z.string().regex(/^[0-9a-f]{1,64}$/) });
