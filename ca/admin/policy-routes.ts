/** The issuance policy on the admin API: which one is in force, reading it again, and a verdict with nothing issued. */

import type { RouteOptions } from 'fastify';
import {
  AdminError,
  type ExplainPolicy,
  explainPolicySchema,
  noBody,
  noParams,
  noQuery,
  type PolicyView,
  policySchema,
  verdictSchema,
  type VerdictView,
} from '../../api/index.ts';
import { isSpiffeId, type SpiffeId } from '../../spiffe/index.ts';
import type { PolicyDescription } from '../issuance/policy-file.ts';
import type { AdminDeps } from './admin-context.ts';
import { grantedEntry } from './granted-entry.ts';
import { operationRoute } from './route.ts';

export function policyRoutes(deps: AdminDeps): RouteOptions[] {
  const { policies } = deps;
  return [
    operationRoute(showOperation, async () => viewOf(policies.describe())),
    operationRoute(reloadOperation, async (_input, { actor }) =>
      viewOf(await policies.reload(actor)),
    ),
    operationRoute(
      {
        ...explainOperation,
        scope: async ({ body }) => {
          const entry = await grantedEntry(deps, body.entryId, nodeIdOf(body));
          return [entry.spiffeId];
        },
      },
      async ({ body }) => explain(deps, body),
    ),
  ];
}

async function explain(deps: AdminDeps, body: ExplainPolicy): Promise<VerdictView> {
  const nodeId = nodeIdOf(body);
  const { entryId, kind = 'x509', ttlSeconds, keyType = 'ec-p256', audience = [], at } = body;
  const entry = await grantedEntry(deps, entryId, nodeId);
  const usualMs =
    kind === 'jwt'
      ? (entry.jwtSvidTtlMs ?? deps.jwt.lifetimes.ttlMs)
      : (entry.x509SvidTtlMs ?? deps.lifetimes.x509SvidMs);
  const verdict = deps.policies.judge?.(
    {
      ...(nodeId === undefined ? {} : { nodeId }),
      entry,
      kind,
      ttlMs: ttlSeconds === undefined ? usualMs : ttlSeconds * 1000,
      audience,
      ...(kind === 'jwt' ? {} : { keyType }),
    },
    at === undefined ? undefined : Date.parse(at),
  );
  if (verdict === undefined) {
    return { verdict: 'allow', rule: 'default', reason: 'no policy is configured' };
  }
  return { verdict: verdict.kind, rule: verdict.rule, reason: verdict.reason };
}

function nodeIdOf({ nodeId }: ExplainPolicy): SpiffeId | undefined {
  if (nodeId === undefined || isSpiffeId(nodeId)) return nodeId;
  throw new AdminError(
    'invalid_argument',
    'request_invalid',
    `nodeId: ${JSON.stringify(nodeId.slice(0, 64))} is not a SPIFFE ID`,
  );
}

function viewOf(description: PolicyDescription | undefined): PolicyView {
  if (description === undefined) return { configured: false, default: 'allow', rules: [] };
  const { loadedAtMs, rules, ...rest } = description;
  const loadedAt = new Date(loadedAtMs).toISOString();
  return { configured: true, ...rest, rules: [...rules], loadedAt };
}

const about = { resource: 'policies', params: noParams, query: noQuery } as const;

const showOperation = {
  ...about,
  id: 'getPolicy',
  method: 'GET',
  path: '/v1/policies',
  summary: 'The issuance policy in force',
  verb: 'read',
  body: noBody,
  answer: policySchema,
  scope: 'open',
} as const;

const reloadOperation = {
  ...about,
  id: 'reloadPolicy',
  method: 'POST',
  path: '/v1/policies/reload',
  summary: 'Reads the policy file again; with any fault in it the policy from before stays',
  verb: 'act',
  body: noBody,
  answer: policySchema,
} as const;

const explainOperation = {
  ...about,
  id: 'explainPolicy',
  method: 'POST',
  path: '/v1/policies/explain',
  summary: 'The verdict on a request that might be made; nothing is issued',
  verb: 'read',
  body: explainPolicySchema,
  answer: verdictSchema,
} as const;
