/** Signing authorities on the admin API: look, plan, and each step of a rotation or of a compromise. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  type AuthorityView,
  authorityListSchema,
  authoritySchema,
  changeAuthoritySchema,
  noBody,
  noParams,
  noQuery,
  type RotationPlan,
  rotationPlanSchema,
} from '../../api/index.ts';
import type { Authority } from '../authority/authority.ts';
import { planRotation } from '../authority/plan.ts';
import { lastLeafNotAfterMs } from '../authority/slot.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function authorityRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, connected } = deps;
  const view = (authority: Authority): AuthorityView => authorityView(authority, deps);
  const propagation = connected.propagationOf.bind(connected);

  return [
    operationRoute(listOperation, async () => ({
      authorities: authorities.current().authorities.map(view),
    })),
    operationRoute(planOperation, async () => planView(deps)),
    operationRoute(prepareOperation, async (_input, { actor }) =>
      view(await authorities.prepare(actor)),
    ),
    operationRoute(
      step('activate', 'Sign with a published root from now on'),
      async ({ params, body }, { actor }) =>
        view(await authorities.activate(actor, params.id, propagation, body?.force ?? false)),
    ),
    operationRoute(
      step('retire', 'Take a draining root out of the bundle'),
      async ({ params, body }, { actor }) =>
        view(await authorities.retire(actor, params.id, body?.force ?? false)),
    ),
    operationRoute(
      step('abort', 'Take back a root that has signed nothing'),
      async ({ params }, { actor }) => view(await authorities.abort(actor, params.id)),
    ),
    operationRoute(
      step('taint', 'Make anew at once whatever stands under an authority'),
      async ({ params }, { actor }) => view(await authorities.taint(actor, params.id)),
    ),
    operationRoute(
      step('revoke', 'Drop a tainted authority'),
      async ({ params, body }, { actor }) =>
        view(await authorities.revoke(actor, params.id, body?.force ?? false)),
    ),
  ];
}

function authorityView(authority: Authority, deps: AdminDeps): AuthorityView {
  const { certificate, parentId, publishedAtMs, activatedAtMs, taintedAtMs } = authority;
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
    ...(publishedAtMs === undefined ? {} : { publishedAt: timeText(publishedAtMs) }),
    ...(activatedAtMs === undefined ? {} : { activatedAt: timeText(activatedAtMs) }),
    ...(taintedAtMs === undefined ? {} : { taintedAt: timeText(taintedAtMs) }),
    ...(lastLeafMs === undefined ? {} : { lastLeafNotAfter: timeText(lastLeafMs) }),
    ...(inBundle ? { propagation: deps.connected.propagationOf(authority.id) } : {}),
  };
}

function planView({ authorities, connected, clock, lifetimes }: AdminDeps): RotationPlan {
  const policy = authorities.policy();
  const nowMs = clock.wallMs();
  const { deadlineMs, steps, arrivals } = planRotation({
    set: authorities.current(),
    nowMs,
    lifetimes,
    policy,
    propagationOf: (id) => connected.propagationOf(id),
  });
  return {
    now: timeText(nowMs),
    activeRootId: authorities.trust.current().activeRoot.id,
    threshold: policy.threshold,
    automatic: policy.automatic,
    ...(deadlineMs === undefined ? {} : { deadlineAt: timeText(deadlineMs) }),
    steps: steps.map(({ atMs, ...entry }) => ({
      ...entry,
      ...(atMs === undefined ? {} : { at: timeText(atMs) }),
    })),
    arrivals: arrivals.map((each) => ({ ...each })),
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

const common = { resource: 'authorities', params: noParams, query: noQuery } as const;

const listOperation = {
  ...common,
  id: 'listAuthorities',
  method: 'GET',
  path: '/v1/authorities',
  summary: 'Roots and issuing authorities, and who trusts them',
  verb: 'read',
  body: noBody,
  answer: authorityListSchema,
  scope: 'open',
} as const;

const planOperation = {
  ...common,
  id: 'planRotation',
  method: 'GET',
  path: '/v1/authorities/plan',
  summary: 'Each step of a root rotation, and when it is safe',
  verb: 'read',
  body: noBody,
  answer: rotationPlanSchema,
  scope: 'open',
} as const;

const prepareOperation = {
  ...common,
  id: 'prepareAuthority',
  method: 'POST',
  path: '/v1/authorities/prepare',
  summary: 'Make a new root and put it into the bundle',
  verb: 'act',
  body: noBody,
  answer: authoritySchema,
} as const;

const idSchema = z.strictObject({ id: z.string().regex(/^[0-9a-f]{1,64}$/) });
const changeSchema = changeAuthoritySchema.optional();

function step(verb: string, summary: string) {
  return {
    id: `${verb}Authority`,
    method: 'POST',
    path: `/v1/authorities/:id/${verb}`,
    summary,
    resource: 'authorities',
    verb: 'act',
    params: idSchema,
    query: noQuery,
    body: changeSchema,
    answer: authoritySchema,
  } as const;
}
