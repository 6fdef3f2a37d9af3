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
  prepareAuthoritySchema,
  type RotationPlan,
  rotationPlanSchema,
} from '../../api/index.ts';
import type { Authority } from '../authority/authority.ts';
import type { JwtKey } from '../authority/jwt-key.ts';
import { type PlanEntry, planRotation } from '../authority/plan.ts';
import { planJwtRotation } from '../authority/plan-jwt.ts';
import { lastLeafNotAfterMs } from '../authority/slot.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function authorityRoutes(deps: AdminDeps): RouteOptions[] {
  const { authorities, connected, jwtKeys } = deps;
  const view = (authority: Authority): AuthorityView => authorityView(authority, deps);
  const propagation = connected.propagationOf.bind(connected);

  const jwtView = (key: JwtKey, state?: 'retired'): AuthorityView => jwtKeyView(key, deps, state);
  const isJwt = (id: string): boolean => jwtKeys.list().some((key) => key.id === id);

  return [
    operationRoute(listOperation, async () => ({
      authorities: [
        ...authorities.current().authorities.map(view),
        ...jwtKeys.list().map((key) => jwtView(key)),
      ],
    })),
    operationRoute(planOperation, async () => planView(deps)),
    operationRoute(prepareOperation, async ({ body }, { actor }) =>
      body?.tier === 'jwt'
        ? jwtView(await jwtKeys.prepare(actor))
        : view(await authorities.prepare(actor)),
    ),
    operationRoute(
      step('activate', 'Sign with a published root or JWT key from now on'),
      async ({ params: { id }, body: { force = false } = {} }, { actor }) =>
        isJwt(id)
          ? jwtView(await jwtKeys.activate(actor, id, force))
          : view(await authorities.activate(actor, id, propagation, force)),
    ),
    operationRoute(
      step('retire', 'Take a draining root or JWT key out of the bundle'),
      async ({ params: { id }, body: { force = false } = {} }, { actor }) =>
        isJwt(id)
          ? jwtView(await jwtKeys.retire(actor, id, force), 'retired')
          : view(await authorities.retire(actor, id, force)),
    ),
    operationRoute(
      step('abort', 'Take back a root or JWT key that has signed nothing'),
      async ({ params: { id } }, { actor }) =>
        isJwt(id)
          ? jwtView(await jwtKeys.abort(actor, id), 'retired')
          : view(await authorities.abort(actor, id)),
    ),
    operationRoute(
      step('taint', 'Make anew at once whatever stands under an authority'),
      async ({ params: { id } }, { actor }) =>
        isJwt(id)
          ? jwtView(await jwtKeys.taint(actor, id))
          : view(await authorities.taint(actor, id)),
    ),
    operationRoute(
      step('revoke', 'Drop a tainted authority'),
      async ({ params: { id }, body: { force = false } = {} }, { actor }) =>
        isJwt(id)
          ? jwtView(await jwtKeys.revoke(actor, id, force), 'retired')
          : view(await authorities.revoke(actor, id, force)),
    ),
  ];
}

/** A JWT key that has left the bundle leaves the list with it. */
function jwtKeyView(key: JwtKey, { jwtKeys }: AdminDeps, state?: 'retired'): AuthorityView {
  const { publishedAtMs, activatedAtMs, taintedAtMs, lastTokenNotAfterMs } = key;
  return {
    id: key.id,
    tier: 'jwt',
    state: state ?? key.state,
    notBefore: timeText(key.preparedAtMs),
    notAfter: timeText(key.notAfterMs),
    preparedAt: timeText(key.preparedAtMs),
    ...(publishedAtMs === undefined ? {} : { publishedAt: timeText(publishedAtMs) }),
    ...(activatedAtMs === undefined ? {} : { activatedAt: timeText(activatedAtMs) }),
    ...(taintedAtMs === undefined ? {} : { taintedAt: timeText(taintedAtMs) }),
    ...(lastTokenNotAfterMs === undefined
      ? {}
      : { lastLeafNotAfter: timeText(lastTokenNotAfterMs) }),
    ...(state === undefined ? { propagation: jwtKeys.propagationOf(key.id) } : {}),
  };
}

function authorityView(authority: Authority, deps: AdminDeps): AuthorityView {
  const { certificate, parentId, pushedAtMs, publishedAtMs, activatedAtMs, taintedAtMs } =
    authority;
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
    ...(pushedAtMs === undefined ? {} : { pushedAt: timeText(pushedAtMs) }),
    ...(publishedAtMs === undefined ? {} : { publishedAt: timeText(publishedAtMs) }),
    ...(activatedAtMs === undefined ? {} : { activatedAt: timeText(activatedAtMs) }),
    ...(taintedAtMs === undefined ? {} : { taintedAt: timeText(taintedAtMs) }),
    ...(lastLeafMs === undefined ? {} : { lastLeafNotAfter: timeText(lastLeafMs) }),
    ...(inBundle ? { propagation: deps.connected.propagationOf(authority.id) } : {}),
  };
}

function planView(deps: AdminDeps): RotationPlan {
  const { authorities, connected, clock, lifetimes } = deps;
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
    steps: steps.map(stepView),
    arrivals: arrivals.map((each) => ({ ...each })),
    jwt: jwtPlanView(deps, nowMs),
  };
}

function jwtPlanView(
  { authorities, jwtKeys, jwt }: AdminDeps,
  nowMs: number,
): NonNullable<RotationPlan['jwt']> {
  const { deadlineMs, steps } = planJwtRotation({
    keys: jwtKeys.list(),
    nowMs,
    tokenMs: jwt.lifetimes.ttlMsMax,
    policy: authorities.policy(),
    propagationOf: (kid) => jwtKeys.propagationOf(kid),
  });
  return {
    steps: steps.map(stepView),
    ...(deadlineMs === undefined ? {} : { deadlineAt: timeText(deadlineMs) }),
  };
}

function stepView({ atMs, ...entry }: PlanEntry): RotationPlan['steps'][number] {
  return { ...entry, ...(atMs === undefined ? {} : { at: timeText(atMs) }) };
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
  summary: 'Each step of a rotation of the root and of the JWT key, and when it is safe',
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
  summary: 'Make a new root, or JWT key, and put it into the bundle',
  verb: 'act',
  body: prepareAuthoritySchema.optional(),
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
