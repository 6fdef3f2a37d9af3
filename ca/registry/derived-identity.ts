/**
 * Derived identities: a template of a SPIFFE ID, filled from facts. Pure: the same template and facts always
 * give the same ID, or the same refusal.
 *
 * Facts are what the node proved when it was attested. What an agent says of its workloads names nobody,
 * unless the rule trusts it with that type of fact: then see `workload-identity.ts`.
 */

import { CodedError } from '../../core/index.ts';
import { isSpiffeId, pathOf, type SpiffeId, type TrustDomain } from '../../spiffe/index.ts';
import { isReservedPath } from './registration-entry.ts';
import type { Selector } from './selector.ts';

/** Fixed text and placeholders, in order. Only {@link parseIdentityTemplate} makes one. */
export interface IdentityTemplate {
  readonly text: string;
  readonly parts: readonly TemplatePart[];
}

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  /** What the selector that begins with `prefix` says after it. */
  | { readonly kind: 'fact'; readonly name: string; readonly prefix: string };

export type TemplateErrorCode =
  | 'template_length'
  | 'template_form'
  | 'template_placeholder'
  | 'template_many_placeholders'
  | 'template_trust_domain'
  | 'template_path'
  | 'template_trust'
  | 'template_dns_name';

export class TemplateError extends CodedError<TemplateErrorCode> {
  override readonly name = 'TemplateError';
  override readonly kind = 'invalid_argument';
}

export type DerivedIdentity =
  | { readonly kind: 'derived'; readonly id: SpiffeId }
  | { readonly kind: 'none'; readonly code: DerivationRefusal; readonly detail: string };

export type DerivationRefusal =
  /** The node has no such fact: the rule is not for it. */
  | 'fact_missing'
  /** The node has several, and none may be chosen over the others. */
  | 'fact_ambiguous'
  /** The value is not a SPIFFE path segment, so that it could say more than one segment may. */
  | 'fact_not_a_segment'
  | 'id_invalid'
  | 'id_reserved';

/**
 * Reads a template such as `spiffe://{td}/host/{x509pop.cn}`. A placeholder `{type.name}` stands for
 * what a selector `type:name:` goes on to say; `{join_token.id}` and `{x509pop.cn}` are short names.
 * Throws {@link TemplateError}.
 */
export function parseIdentityTemplate(text: string, trustDomain: TrustDomain): IdentityTemplate {
  if (text.length > templateLengthMax) {
    throw new TemplateError(
      'template_length',
      `a template has ${text.length} characters, at most ${templateLengthMax} are allowed`,
    );
  }
  const start = [`spiffe://{td}/`, `spiffe://${trustDomain}/`].find((each) =>
    text.startsWith(each),
  );
  if (start === undefined) {
    throw new TemplateError(
      'template_trust_domain',
      `template ${JSON.stringify(text)} does not begin with spiffe://{td}/`,
      { remedy: `a rule names identities of ${trustDomain} only` },
    );
  }
  const parts: TemplatePart[] = [{ kind: 'text', text: `spiffe://${trustDomain}/` }];
  parts.push(...templateParts(text, text.slice(start.length)));
  if (parts.filter(({ kind }) => kind === 'fact').length > placeholdersMax) {
    throw new TemplateError(
      'template_many_placeholders',
      `a template has at most ${placeholdersMax} placeholders`,
    );
  }
  checkFixedText(text, parts);
  return { text, parts };
}

/** The ID that the template gives to a node with these selectors, or why it gives none. */
export function deriveIdentity(
  template: IdentityTemplate,
  facts: readonly Selector[],
): DerivedIdentity {
  let text = '';
  for (const part of template.parts) {
    if (part.kind === 'text') {
      text += part.text;
      continue;
    }
    const value = fillWith(part, facts);
    if (value.kind === 'none') return value;
    text += value.text;
  }
  if (!isSpiffeId(text)) return none('id_invalid', `${text.slice(0, 120)} is not a SPIFFE ID`);
  // A value may complete the reserved name: `{x509pop.cn}` is `signet` where the CN is.
  if (isReservedPath(pathOf(text))) return none('id_reserved', `${text} is kept for the CA`);
  return { kind: 'derived', id: text };
}

/** What these facts say of a placeholder: one value that may stand in a path, or why there is none. */
export function fillWith(
  { name, prefix }: Extract<TemplatePart, { kind: 'fact' }>,
  facts: readonly Selector[],
): { readonly kind: 'filled'; readonly text: string } | Extract<DerivedIdentity, { kind: 'none' }> {
  const value = valueOf({ name, prefix }, facts);
  if (typeof value !== 'string') return value;
  // Whole values, not only the result: `a/../b` or `a/b` would move the ID to another place.
  if (!isSegment(value)) {
    return none(
      'fact_not_a_segment',
      `{${name}} is ${JSON.stringify(value.slice(0, 64))}, which is no SPIFFE path segment`,
    );
  }
  return { kind: 'filled', text: value };
}

/** The one value that these facts have for a placeholder, as it stands, or why there is none. */
export function valueOf(
  { name, prefix }: { readonly name: string; readonly prefix: string },
  facts: readonly Selector[],
): string | Extract<DerivedIdentity, { kind: 'none' }> {
  const values = factsUnder(facts, prefix);
  const [value] = values;
  if (value === undefined) return none('fact_missing', `there is no {${name}}`);
  if (values.length > 1) {
    return none('fact_ambiguous', `there are ${values.length} values of {${name}}`);
  }
  return value;
}

/** Fixed text and placeholders of `path`, a part of `template`. Throws {@link TemplateError}. */
export function templateParts(template: string, path: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let rest = path;
  while (rest !== '') {
    const open = rest.indexOf('{');
    const fixed = open === -1 ? rest : rest.slice(0, open);
    if (fixed.includes('}')) throw formRefusal(template, 'has a } without its {');
    if (fixed !== '') parts.push({ kind: 'text', text: fixed });
    if (open === -1) break;
    const close = rest.indexOf('}', open);
    if (close === -1) throw formRefusal(template, 'has a { without its }');
    const name = rest.slice(open + 1, close);
    parts.push({ kind: 'fact', name, prefix: prefixOf(template, name) });
    rest = rest.slice(close + 1);
  }
  return parts;
}

function prefixOf(template: string, name: string): string {
  if (!placeholderPattern.test(name)) {
    throw new TemplateError(
      'template_placeholder',
      `template ${JSON.stringify(template)}: {${name}} is not a placeholder; write {type.name}`,
    );
  }
  return shortNames.get(name) ?? `${name.replaceAll('.', ':')}:`;
}

/** The template with a letter for every placeholder must be an ID that a workload may have. */
function checkFixedText(template: string, parts: readonly TemplatePart[]): void {
  const sample = parts.map((part) => (part.kind === 'text' ? part.text : 'x')).join('');
  if (isSpiffeId(sample) && pathOf(sample) !== '' && !isReservedPath(pathOf(sample))) return;
  throw new TemplateError(
    'template_path',
    `template ${JSON.stringify(template)} does not make a SPIFFE ID that a workload may have`,
    { remedy: 'write segments of letters, digits, dot, dash and underscore, outside /signet' },
  );
}

function factsUnder(facts: readonly Selector[], prefix: string): readonly string[] {
  const values = facts
    .filter((fact) => fact.startsWith(prefix))
    .map((fact) => fact.slice(prefix.length));
  return [...new Set(values)];
}

// SPIFFE-ID §2.2: what a path segment may hold, and never a step to another directory.
function isSegment(value: string): boolean {
  return /^[a-zA-Z0-9._-]+$/.test(value) && value !== '.' && value !== '..';
}

function formRefusal(template: string, reason: string): TemplateError {
  return new TemplateError('template_form', `template ${JSON.stringify(template)} ${reason}`);
}

function none(code: DerivationRefusal, detail: string): Extract<DerivedIdentity, { kind: 'none' }> {
  return { kind: 'none', code, detail };
}

const shortNames: ReadonlyMap<string, string> = new Map([
  ['join_token.id', 'join_token:'],
  ['x509pop.cn', 'x509pop:subject:cn:'],
  ['x509pop.dns', 'x509pop:san:dns:'],
  ['x509pop.serial', 'x509pop:serial:'],
]);
const placeholderPattern = /^[a-z0-9_-]+(\.[A-Za-z0-9_-]+)+$/;
// A SPIFFE ID has at most 2048 bytes, and a template is about as long as what it makes.
const templateLengthMax = 2048;
// Each one is a search through a node's selectors, for every node and every rule.
const placeholdersMax = 16;
