/** Identity rules on the admin API. */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  AdminError,
  createRuleSchema,
  noBody,
  noParams,
  noQuery,
  pageQuerySchema,
  ruleIdentityListSchema,
  type RuleIdentityView,
  ruleListSchema,
  ruleSchema,
  type RuleView,
} from '../../api/index.ts';
import type { Actor } from '../audit/event.ts';
import type { AttestedNode } from '../registry/attested-node.ts';
import { auditedRule } from '../registry/audited-entry.ts';
import { deriveIdentity, type TemplatePart } from '../registry/derived-identity.ts';
import { fillDnsNames } from '../registry/dns-template.ts';
import { type CompiledRule, compileRule, type IdentityRule } from '../registry/identity-rule.ts';
import { areSelectorsSubset } from '../registry/selector.ts';
import { derivableOf } from '../registry/workload-identity.ts';
import type { AdminDeps } from './admin-context.ts';
import { checkTtl, type TtlDeps } from './entry-ttl.ts';
import { operationRoute } from './route.ts';

export type RuleRouteDeps = TtlDeps & Pick<AdminDeps, 'registry' | 'audit' | 'trustDomain'>;

export function ruleRoutes(deps: RuleRouteDeps): RouteOptions[] {
  const { registry, audit } = deps;
  const recorder =
    (type: 'rule.created' | 'rule.deleted', actor: Actor) =>
    (rule: IdentityRule): Promise<unknown> =>
      audit.append({ actor, type, ...auditedRule(rule) });

  return [
    operationRoute(createOperation, async ({ body }, { actor }) => {
      const { x509SvidTtlSeconds, jwtSvidTtlSeconds, ...rest } = body;
      const ttls = {
        x509SvidTtlMs: msOf(x509SvidTtlSeconds),
        jwtSvidTtlMs: msOf(jwtSvidTtlSeconds),
      };
      checkTtl(deps, ttls);
      const draft = { ...rest, ...ttls };
      return ruleView(await registry.createRule(draft, recorder('rule.created', actor)));
    }),
    operationRoute(listOperation, async ({ query: { after, limit } }) => {
      const page = await registry.listRules({ limit, ...(after === undefined ? {} : { after }) });
      const rules = page.items.map(ruleView);
      return page.next === undefined ? { rules } : { rules, next: page.next };
    }),
    operationRoute(getOperation, async ({ params: { id } }) => ruleView(await found(deps, id))),
    operationRoute(identitiesOperation, async ({ params: { id }, query: { after, limit } }) => {
      const rule = compileRule(await found(deps, id), deps.trustDomain);
      const page = await registry.listNodes({ limit, ...(after === undefined ? {} : { after }) });
      const identities = page.items.map((node) => identityView(rule, node));
      return page.next === undefined ? { identities } : { identities, next: page.next };
    }),
    operationRoute(deleteOperation, async ({ params: { id } }, { actor }) => {
      return ruleView(await registry.deleteRule(id, recorder('rule.deleted', actor)));
    }),
  ];
}

async function found({ registry }: RuleRouteDeps, id: string): Promise<IdentityRule> {
  const rule = await registry.getRule(id);
  if (rule !== undefined) return rule;
  throw new AdminError('not_found', 'rule_not_found', `no rule has the id ${id}`);
}

function identityView(compiled: CompiledRule, node: AttestedNode): RuleIdentityView {
  const { rule, template, agentPrefixes } = compiled;
  if (node.banned !== undefined) return { nodeId: node.id, reason: 'the node is banned' };
  if (!areSelectorsSubset(rule.nodeSelectors, new Set(node.selectors))) {
    return { nodeId: node.id, reason: 'the node has not all of the rule’s node selectors' };
  }
  const names = fillDnsNames(compiled.dnsNames, node.selectors);
  if (names.kind === 'none') return { nodeId: node.id, reason: `DNS names: ${names.detail}` };
  if (agentPrefixes.length > 0) {
    const parts = derivableOf(compiled, node)?.parts;
    return parts === undefined
      ? { nodeId: node.id, reason: 'the node has not all of the template’s own facts' }
      : { nodeId: node.id, pattern: parts.map(textOf).join('') };
  }
  const identity = deriveIdentity(template, node.selectors);
  return identity.kind === 'derived'
    ? { nodeId: node.id, spiffeId: identity.id }
    : { nodeId: node.id, reason: identity.detail };
}

function msOf(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function textOf(part: TemplatePart): string {
  return part.kind === 'text' ? part.text : `{${part.name}}`;
}

function ruleView(rule: IdentityRule): RuleView {
  return {
    id: rule.id,
    template: rule.template,
    selectors: [...rule.selectors],
    nodeSelectors: [...rule.nodeSelectors],
    ...(rule.x509SvidTtlMs === undefined ? {} : { x509SvidTtlSeconds: rule.x509SvidTtlMs / 1000 }),
    ...(rule.jwtSvidTtlMs === undefined ? {} : { jwtSvidTtlSeconds: rule.jwtSvidTtlMs / 1000 }),
    dnsNames: [...(rule.dnsNames ?? [])],
    federatesWith: [...(rule.federatesWith ?? [])],
    hint: rule.hint,
    priority: rule.priority,
    trust: { ...rule.trust },
    createdAt: new Date(rule.createdAtMs).toISOString(),
  };
}

const base = { resource: 'rules', params: noParams, query: noQuery, body: noBody } as const;

const createOperation = {
  ...base,
  id: 'createRule',
  method: 'POST',
  path: '/v1/rules',
  summary: 'Give nodes identities by a template of what they proved',
  verb: 'create',
  body: createRuleSchema,
  answer: ruleSchema,
} as const;

const listOperation = {
  ...base,
  id: 'listRules',
  method: 'GET',
  path: '/v1/rules',
  summary: 'Rules, oldest first',
  verb: 'read',
  query: pageQuerySchema,
  answer: ruleListSchema,
} as const;

const one = {
  ...base,
  path: '/v1/rules/:id',
  params: z.strictObject({ id: z.string().min(1).max(128) }),
  answer: ruleSchema,
} as const;

const getOperation = {
  ...one,
  id: 'getRule',
  method: 'GET',
  summary: 'One rule',
  verb: 'read',
} as const;

const identitiesOperation = {
  ...one,
  id: 'listRuleIdentities',
  method: 'GET',
  path: '/v1/rules/:id/identities',
  summary: 'What the rule gives on each node, or why it gives nothing',
  verb: 'read',
  query: pageQuerySchema,
  answer: ruleIdentityListSchema,
} as const;

const deleteOperation = {
  ...one,
  id: 'deleteRule',
  method: 'DELETE',
  summary: 'Delete a rule; what it gave is lost at once',
  verb: 'delete',
} as const;
