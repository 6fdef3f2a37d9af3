/** An operator's own names for secrets, checked so that each can only ever mean one thing. */

import { nameLengthMax } from './request-bounds.ts';
import { resolveSecretName, type SecretAliases } from './secret-name.ts';
import { wildcardName } from './subscription-step.ts';

export interface AliasFault {
  readonly alias: string;
  /** Whether it is the alias itself that is wrong, or what it stands for. */
  readonly at: 'alias' | 'target';
  readonly reason: string;
}

export type AliasesVerdict =
  | { readonly kind: 'valid'; readonly aliases: SecretAliases }
  | { readonly kind: 'refused'; readonly faults: readonly AliasFault[] };

/** Every fault at once. An alias may be any text that means nothing by itself, `default` and `ROOTCA` apart. */
export function checkAliases(entries: ReadonlyMap<string, string>): AliasesVerdict {
  const faults: AliasFault[] = [];
  if (entries.size > aliasesMax) {
    const [alias = ''] = entries.keys();
    const reason = `${entries.size} aliases, at most ${aliasesMax} are taken`;
    faults.push({ alias, at: 'alias', reason });
  }
  for (const [alias, target] of entries) {
    const aliasFault = faultOfAlias(alias);
    if (aliasFault !== undefined) faults.push({ alias, at: 'alias', reason: aliasFault });
    const targetFault = faultOfTarget(target, entries);
    if (targetFault !== undefined) faults.push({ alias, at: 'target', reason: targetFault });
  }
  return faults.length === 0 ? { kind: 'valid', aliases: entries } : { kind: 'refused', faults };
}

function faultOfAlias(alias: string): string | undefined {
  if (alias === '' || alias === wildcardName) return `${JSON.stringify(alias)} cannot be an alias`;
  if (alias.length > nameLengthMax) return `is longer than ${nameLengthMax} characters`;
  // Whoever asks for an identity by its ID must get that identity, or nothing.
  if (/^spiffe:/i.test(alias)) return 'an alias cannot take the place of a SPIFFE ID';
  return undefined;
}

function faultOfTarget(target: string, entries: ReadonlyMap<string, string>): string | undefined {
  // Followed once, so it could not loop; but it would not mean what it seems to.
  if (entries.has(target)) return `${JSON.stringify(target)} is an alias itself`;
  const resolved = resolveSecretName(target);
  if (resolved.kind === 'unknown') return `no secret has this name: ${resolved.reason}`;
  return undefined;
}

// More names than a stream may ask for help nobody.
const aliasesMax = 1000;
