/**
 * An identity rule: a template that gives every node it fits an entry of its own, so that a thousand
 * nodes need no thousand entries. A rule never changes: another one is made and this one deleted, so
 * that what an ID meant at a time is what the audit log says.
 */

import { pathOf, type TrustDomain } from '../../spiffe/index.ts';
import type { AttestedNode } from './attested-node.ts';
import {
  deriveIdentity,
  type IdentityTemplate,
  parseIdentityTemplate,
} from './derived-identity.ts';
import { parseRegistrationEntry } from './parse-registration-entry.ts';
import { type EntryDraft, type RegistrationEntry, reservedPath } from './registration-entry.ts';
import {
  areSelectorsSubset,
  canonicalSelectors,
  parseSelector,
  type Selector,
} from './selector.ts';

export interface IdentityRule {
  readonly id: string;
  readonly createdAtMs: number;
  /** As the operator wrote it; {@link compileRule} reads it. */
  readonly template: string;
  /** All must hold of the workload, as in an entry. Never empty. */
  readonly selectors: readonly Selector[];
  /** All must hold of the node; none: every node that has the template's facts. */
  readonly nodeSelectors: readonly Selector[];
  readonly x509SvidTtlMs?: number;
  readonly hint: string;
  readonly priority: number;
}

/** What an operator wrote, unchecked. */
export type RuleDraft = Pick<EntryDraft, 'selectors' | 'x509SvidTtlMs' | 'hint' | 'priority'> & {
  readonly template: string;
  readonly nodeSelectors?: readonly string[] | undefined;
};

/** A rule with its template read. */
export interface CompiledRule {
  readonly rule: IdentityRule;
  readonly template: IdentityTemplate;
}

/** Throws TemplateError, SelectorError, or EntryError with every fault of the rest. */
export function parseIdentityRule(
  draft: RuleDraft,
  trustDomain: TrustDomain,
): Omit<IdentityRule, 'id' | 'createdAtMs'> {
  const { template, nodeSelectors = [], ...rest } = draft;
  parseIdentityTemplate(template, trustDomain);
  // The rest of a rule is the rest of an entry, with the same bounds.
  const sample = `spiffe://${trustDomain}/x`;
  const spec = parseRegistrationEntry({ ...rest, spiffeId: sample, parentId: sample }, trustDomain);
  return {
    template,
    selectors: spec.selectors,
    nodeSelectors: canonicalSelectors(nodeSelectors.map(parseSelector)),
    ...(spec.x509SvidTtlMs === undefined ? {} : { x509SvidTtlMs: spec.x509SvidTtlMs }),
    hint: spec.hint,
    priority: spec.priority,
  };
}

export function compileRule(rule: IdentityRule, trustDomain: TrustDomain): CompiledRule {
  return { rule, template: parseIdentityTemplate(rule.template, trustDomain) };
}

/** The entry that the rule gives to workloads of this node, or undefined if it gives none. */
export function entryOfRule(
  { rule, template }: CompiledRule,
  node: Pick<AttestedNode, 'id' | 'selectors' | 'attestedAtMs'>,
): RegistrationEntry | undefined {
  if (!areSelectorsSubset(rule.nodeSelectors, new Set(node.selectors))) return undefined;
  const identity = deriveIdentity(template, node.selectors);
  if (identity.kind === 'none') return undefined;
  return {
    id: `${ruleEntryPrefix}${rule.id}:${pathOf(node.id).slice(nodePath.length)}`,
    createdAtMs: rule.createdAtMs,
    // A node's facts change only when it is attested again, so this number changes with them.
    revision: Math.max(1, Math.floor(node.attestedAtMs)),
    spiffeId: identity.id,
    parentId: node.id,
    selectors: rule.selectors,
    ...(rule.x509SvidTtlMs === undefined ? {} : { x509SvidTtlMs: rule.x509SvidTtlMs }),
    dnsNames: [],
    hint: rule.hint,
    federatesWith: [],
    admin: false,
    priority: rule.priority,
  };
}

/** The id of the rule behind an entry's id, or undefined if the entry is of no rule. */
export function ruleIdOfEntry(entryId: string): string | undefined {
  if (!entryId.startsWith(ruleEntryPrefix)) return undefined;
  return entryId.slice(ruleEntryPrefix.length).split(':', 1)[0];
}

const ruleEntryPrefix = 'rule:';
const nodePath = `${reservedPath}/node/`;
