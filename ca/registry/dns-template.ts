/**
 * DNS names that a rule gives with its identities: templates such as `{x509pop.cn}.hosts.mesh.test`, filled from what the
 * node proved and from nothing else. A name says to others which server it is, so that no agent's word makes one.
 */

import { type TemplatePart, templateParts, TemplateError, valueOf } from './derived-identity.ts';
import { dnsNameFault } from './dns-name.ts';
import type { Selector } from './selector.ts';

export interface DnsTemplate {
  readonly text: string;
  readonly parts: readonly TemplatePart[];
}

/** Throws {@link TemplateError}. */
export function parseDnsTemplate(text: string): DnsTemplate {
  if (text.length > templateLengthMax) {
    throw new TemplateError(
      'template_length',
      `the template of a DNS name has ${text.length} characters, at most ${templateLengthMax} are allowed`,
    );
  }
  const parts = templateParts(text, text);
  const fault = dnsNameFault(
    parts.map((part) => (part.kind === 'text' ? part.text : 'x')).join(''),
  );
  if (fault === undefined) return { text, parts };
  throw new TemplateError(
    'template_dns_name',
    `template ${JSON.stringify(text)} does not make a DNS name: ${fault}`,
  );
}

/** The names that the templates give to a node with these selectors, or why there is not each of them. */
export function fillDnsNames(
  templates: readonly DnsTemplate[],
  facts: readonly Selector[],
):
  | { readonly kind: 'filled'; readonly names: readonly string[] }
  | { readonly kind: 'none'; readonly detail: string } {
  const names = new Set<string>();
  for (const { parts } of templates) {
    let name = '';
    for (const part of parts) {
      if (part.kind === 'text') {
        name += part.text;
        continue;
      }
      const value = valueOf(part, facts);
      if (typeof value !== 'string') return value;
      // With a dot it would reach into another domain, unless it is all that the template asks for.
      const fault =
        parts.length > 1 && value.includes('.')
          ? `${JSON.stringify(value.slice(0, 64))} is more than one label`
          : dnsNameFault(value);
      if (fault !== undefined || value.startsWith('*')) {
        return { kind: 'none', detail: `{${part.name}}: ${fault ?? 'a wildcard is not one name'}` };
      }
      name += value;
    }
    const fault = dnsNameFault(name);
    if (fault !== undefined) return { kind: 'none', detail: fault };
    names.add(name);
  }
  return { kind: 'filled', names: [...names] };
}

// A DNS name has at most 253 characters; a placeholder is about as long as what it stands for.
const templateLengthMax = 512;
