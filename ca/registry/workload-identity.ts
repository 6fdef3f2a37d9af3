/**
 * Identities that workloads derive from what their node's agent attests of them: the part of a rule that a
 * node is told of, and the judgement of what it asks for. Pure.
 *
 * An agent's word is believed here as it is believed with every entry's selectors: about workloads of its own
 * node. The node's own facts are in the template before the agent sees it, so it cannot speak for another.
 */

import { deriveIdentity, fillWith, type TemplatePart } from './derived-identity.ts';
import { type CompiledRule, entryFrame, fitsNode } from './identity-rule.ts';
import type { AttestedNode } from './attested-node.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import { canonicalSelectors, parseSelector, type Selector, SelectorError } from './selector.ts';

type Node = Pick<AttestedNode, 'id' | 'selectors' | 'attestedAtMs'>;

/** What a node needs to know of a rule to find the workloads it is for. */
export type DerivableIdentity = Omit<
  RegistrationEntry,
  'spiffeId' | 'parentId' | 'dnsNames' | 'admin'
> & {
  /** The SPIFFE ID in order; each fact is what one selector of the workload goes on to say. */
  readonly parts: readonly TemplatePart[];
};

/** The rule as this node is told of it, or undefined if no workload of it can have an identity by it. */
export function derivableOf(compiled: CompiledRule, node: Node): DerivableIdentity | undefined {
  if (compiled.agentPrefixes.length === 0 || !fitsNode(compiled, node)) return undefined;
  const parts: TemplatePart[] = [];
  for (const part of compiled.template.parts) {
    if (part.kind === 'text' || compiled.agentPrefixes.includes(part.prefix)) {
      parts.push(part);
      continue;
    }
    const value = fillWith(part, node.selectors);
    if (value.kind === 'none') return undefined;
    parts.push({ kind: 'text', text: value.text });
  }
  const made = entryFrame(compiled, node);
  if (made === undefined) return undefined;
  const { id, createdAtMs, revision, selectors, hint, priority, federatesWith } = made;
  const { x509SvidTtlMs } = made;
  const frame = { id, createdAtMs, revision, selectors, hint, priority, federatesWith, parts };
  return x509SvidTtlMs === undefined ? frame : { ...frame, x509SvidTtlMs };
}

/**
 * The entry for a workload of this node with these selectors. Undefined unless they are the rule's conditions
 * and its facts, each once and nothing beside, so that the record says exactly what the identity stands on.
 */
export function entryOfWorkload(
  compiled: CompiledRule,
  node: Node,
  shown: readonly string[],
): RegistrationEntry | undefined {
  const { rule, template, agentPrefixes } = compiled;
  const selectors = readSelectors(shown);
  if (selectors === undefined || agentPrefixes.length === 0 || !fitsNode(compiled, node)) {
    return undefined;
  }
  if (!rule.selectors.every((condition) => selectors.includes(condition))) return undefined;
  const facts = selectors.filter((each) => agentPrefixes.some((prefix) => each.startsWith(prefix)));
  const isBeside = (each: Selector): boolean =>
    !facts.includes(each) && !rule.selectors.includes(each);
  if (selectors.some(isBeside)) return undefined;
  const nodeFacts = node.selectors.filter(
    (each) => !agentPrefixes.some((prefix) => each.startsWith(prefix)),
  );
  const identity = deriveIdentity(template, [...nodeFacts, ...facts]);
  const frame = entryFrame(compiled, node);
  if (identity.kind === 'none' || frame === undefined) return undefined;
  return { ...frame, spiffeId: identity.id, selectors };
}

function readSelectors(shown: readonly string[]): readonly Selector[] | undefined {
  if (shown.length === 0 || shown.length > shownMax) return undefined;
  // The record holds them all, so together they are bounded too.
  if (shown.reduce((sum, text) => sum + text.length, 0) > shownCharactersMax) return undefined;
  try {
    return canonicalSelectors(shown.map(parseSelector));
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return undefined;
  }
}

// An entry has at most 64 selectors and a template 16 placeholders.
const shownMax = 80;
const shownCharactersMax = 16 * 1024;
