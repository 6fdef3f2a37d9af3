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
  TemplateError,
} from './derived-identity.ts';
import { type DnsTemplate, fillDnsNames, parseDnsTemplate } from './dns-template.ts';
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
  readonly jwtSvidTtlMs?: number;
  /** Templates of DNS names, filled from what the node proved. Absent: none. */
  readonly dnsNames?: readonly string[];
  readonly federatesWith?: readonly TrustDomain[];
  readonly hint: string;
  readonly priority: number;
  /** By type of selector, who may say such facts of the template; a type that is not named: the node's proof alone. */
  readonly trust?: RuleTrust;
}

/**
 * Who may say the facts of a type: the node, by what it proved at attestation, or its agent, by attesting
 * each workload. An agent is believed about workloads of its own node only, as with an entry's selectors.
 */
export type FactSource = 'node' | 'agent';
export type RuleTrust = Readonly<Record<string, FactSource>>;

/** What an operator wrote, unchecked. */
export type RuleDraft = Pick<
  EntryDraft,
  | 'selectors'
  | 'x509SvidTtlMs'
  | 'jwtSvidTtlMs'
  | 'dnsNames'
  | 'federatesWith'
  | 'hint'
  | 'priority'
> & {
  readonly template: string;
  readonly nodeSelectors?: readonly string[] | undefined;
  readonly trust?: RuleTrust | undefined;
};

/** A rule with its template read. */
export interface CompiledRule {
  readonly rule: IdentityRule;
  readonly template: IdentityTemplate;
  /** Prefixes of the facts that come from the agent; none: every node that fits has one entry by the rule. */
  readonly agentPrefixes: readonly string[];
  readonly dnsNames: readonly DnsTemplate[];
}

/** Throws TemplateError, SelectorError, or EntryError with every fault of the rest. */
export function parseIdentityRule(
  draft: RuleDraft,
  trustDomain: TrustDomain,
): Omit<IdentityRule, 'id' | 'createdAtMs'> {
  const { template, nodeSelectors = [], trust = {}, dnsNames = [], ...rest } = draft;
  checkTrust(trust, parseIdentityTemplate(template, trustDomain));
  const dnsTemplates = dnsNames.map(parseDnsTemplate);
  for (const each of dnsTemplates) checkProven(each, trust);
  // The rest of a rule is the rest of an entry, with the same bounds.
  const sample = `spiffe://${trustDomain}/x`;
  const sampleNames = dnsTemplates.map((_each, index) => `x${index}`);
  const spec = parseRegistrationEntry(
    { ...rest, dnsNames: sampleNames, spiffeId: sample, parentId: sample },
    trustDomain,
  );
  return {
    template,
    selectors: spec.selectors,
    nodeSelectors: canonicalSelectors(nodeSelectors.map(parseSelector)),
    ...ttlsOf(spec),
    ...(dnsNames.length === 0 ? {} : { dnsNames: [...new Set(dnsNames)] }),
    ...(spec.federatesWith.length === 0 ? {} : { federatesWith: spec.federatesWith }),
    hint: spec.hint,
    priority: spec.priority,
    ...(Object.keys(trust).length === 0 ? {} : { trust }),
  };
}

export function compileRule(rule: IdentityRule, trustDomain: TrustDomain): CompiledRule {
  const template = parseIdentityTemplate(rule.template, trustDomain);
  const agentPrefixes = agentPrefixesOf(template, rule.trust ?? {});
  return { rule, template, agentPrefixes, dnsNames: (rule.dnsNames ?? []).map(parseDnsTemplate) };
}

/** The entry that the rule gives to workloads of this node, or undefined if it gives none. */
export function entryOfRule(
  compiled: CompiledRule,
  node: Pick<AttestedNode, 'id' | 'selectors' | 'attestedAtMs'>,
): RegistrationEntry | undefined {
  if (compiled.agentPrefixes.length > 0 || !fitsNode(compiled, node)) return undefined;
  const identity = deriveIdentity(compiled.template, node.selectors);
  const frame = entryFrame(compiled, node);
  if (identity.kind === 'none' || frame === undefined) return undefined;
  return { ...frame, spiffeId: identity.id };
}

export function fitsNode(
  { rule }: CompiledRule,
  { selectors }: Pick<AttestedNode, 'selectors'>,
): boolean {
  return areSelectorsSubset(rule.nodeSelectors, new Set(selectors));
}

/** All of a derived entry but the identity; undefined if the node has not what a DNS name of it is made of. */
export function entryFrame(
  { rule, dnsNames }: CompiledRule,
  node: Pick<AttestedNode, 'id' | 'selectors' | 'attestedAtMs'>,
): Omit<RegistrationEntry, 'spiffeId'> | undefined {
  const filled = fillDnsNames(dnsNames, node.selectors);
  if (filled.kind === 'none') return undefined;
  return {
    id: `${ruleEntryPrefix}${rule.id}:${pathOf(node.id).slice(nodePath.length)}`,
    createdAtMs: rule.createdAtMs,
    // A node's facts change only when it is attested again, so this number changes with them.
    revision: Math.max(1, Math.floor(node.attestedAtMs)),
    parentId: node.id,
    selectors: rule.selectors,
    ...ttlsOf(rule),
    dnsNames: filled.names,
    hint: rule.hint,
    federatesWith: rule.federatesWith ?? [],
    admin: false,
    priority: rule.priority,
  };
}

function ttlsOf({ x509SvidTtlMs, jwtSvidTtlMs }: Ttls): Ttls {
  return {
    ...(x509SvidTtlMs === undefined ? {} : { x509SvidTtlMs }),
    ...(jwtSvidTtlMs === undefined ? {} : { jwtSvidTtlMs }),
  };
}

type Ttls = Pick<IdentityRule, 'x509SvidTtlMs' | 'jwtSvidTtlMs'>;

function agentPrefixesOf({ parts }: IdentityTemplate, trust: RuleTrust): readonly string[] {
  return parts.flatMap((part) =>
    part.kind === 'fact' && trust[typeOfPrefix(part.prefix)] === 'agent' ? [part.prefix] : [],
  );
}

/** Throws TemplateError: trust that no placeholder asks for is a slip of the pen, and some is never given. */
function checkTrust(trust: RuleTrust, { text, parts }: IdentityTemplate): void {
  const types = new Set(
    parts.flatMap((part) => (part.kind === 'fact' ? [typeOfPrefix(part.prefix)] : [])),
  );
  for (const [type, source] of Object.entries(trust)) {
    if (!types.has(type)) {
      throw new TemplateError(
        'template_trust',
        `template ${JSON.stringify(text)} has no placeholder of type ${JSON.stringify(type.slice(0, 64))}`,
        { remedy: 'trust only the types of facts that the template is filled from' },
      );
    }
    if (source === 'agent' && nodeAttestorTypes.has(type)) {
      throw new TemplateError(
        'template_trust',
        `${type} facts are what a node proves of itself; no agent is believed about them`,
        { remedy: `leave ${type} out: the node's own proof is taken` },
      );
    }
  }
}

/** Throws TemplateError: with a DNS name of its choice an agent could pass for any server. */
function checkProven({ text, parts }: DnsTemplate, trust: RuleTrust): void {
  for (const part of parts) {
    if (part.kind === 'text' || trust[typeOfPrefix(part.prefix)] !== 'agent') continue;
    throw new TemplateError(
      'template_trust',
      `template ${JSON.stringify(text)}: no DNS name is made of {${part.name}}, on an agent's word`,
      { remedy: 'make it of what the node proves, or of nothing but text' },
    );
  }
}

function typeOfPrefix(prefix: string): string {
  return prefix.slice(0, prefix.indexOf(':'));
}

/** The id of the rule behind an entry's id, or undefined if the entry is of no rule. */
export function ruleIdOfEntry(entryId: string): string | undefined {
  if (!entryId.startsWith(ruleEntryPrefix)) return undefined;
  return entryId.slice(ruleEntryPrefix.length).split(':', 1)[0];
}

/** The id without what an agent added to tell its workloads apart. */
export function plainEntryId(entryId: string): string {
  const [plain = ''] = entryId.split('#', 1);
  return plain;
}

// The types of the node attestors' own selectors.
const nodeAttestorTypes: ReadonlySet<string> = new Set(['join_token', 'x509pop']);
const ruleEntryPrefix = 'rule:';
const nodePath = `${reservedPath}/node/`;
