/** Name constraints of one authority against the certificates below it (RFC 5280 §6.1.3 (b) and (c)). */

import type { Certificate } from '../certificate.ts';
import type { NameConstraints, NameSubtree } from '../extensions/name-constraints.ts';
import { isEmptyName, mailAddressesIn } from '../name.ts';
import { isSelfIssued } from './check-certificate.ts';
import { matchesDirectory, matchesDns, matchesEmail, matchesIp, matchesUri } from './match-name.ts';
import { describeCertificate, type PathRefusal, refused } from './path-refusal.ts';

/** Checks every certificate of `path`, leaf first, against the constraints of `issuer`, if it has any. */
export function checkNameConstraints(
  path: readonly Certificate[],
  issuer: Certificate,
): PathRefusal | undefined {
  const constraints = issuer.extensions.nameConstraints;
  if (constraints === undefined) return undefined;
  for (const [index, certificate] of path.entries()) {
    // RFC 5280 §6.1.3 (b): a self-issued certificate is exempt unless it is the last of the path.
    if (index > 0 && isSelfIssued(certificate)) continue;
    const reason = violation(certificate, constraints);
    if (reason !== undefined) {
      return refused('name_constraint', `${describeCertificate(certificate)}: ${reason}`);
    }
  }
  return undefined;
}

function violation(certificate: Certificate, constraints: NameConstraints): string | undefined {
  const { subjectAltName } = certificate.extensions;
  const names: PresentedName[] = [
    ...(subjectAltName?.uris ?? []).map((name) => ({ kind: 'uri', name }) as const),
    ...(subjectAltName?.dnsNames ?? []).map((name) => ({ kind: 'dns', name }) as const),
    ...[...(subjectAltName?.emails ?? []), ...mailAddressesIn(certificate.subject)].map(
      (name) => ({ kind: 'email', name }) as const,
    ),
    ...(subjectAltName?.ipAddresses ?? []).map((name) => ({ kind: 'ip', name }) as const),
    ...(isEmptyName(certificate.subject)
      ? []
      : [{ kind: 'directory', name: certificate.subject } as const]),
  ];
  for (const name of names) {
    const reason = outside(name, constraints);
    if (reason !== undefined) return reason;
  }
  // RFC 5280 §4.2.1.10: a constraint that cannot be processed refuses every name it may be about.
  const isUnknown = [...constraints.permitted, ...constraints.excluded].some(
    ({ kind }) => kind === 'other' || kind === 'directory',
  );
  if (isUnknown && (subjectAltName?.others ?? 0) > 0) {
    return 'it has a name of a kind whose constraint cannot be checked';
  }
  return undefined;
}

type PresentedName =
  | { readonly kind: 'uri' | 'dns' | 'email'; readonly name: string }
  | { readonly kind: 'ip' | 'directory'; readonly name: Uint8Array };

function outside(presented: PresentedName, constraints: NameConstraints): string | undefined {
  const { kind } = presented;
  const text = typeof presented.name === 'string' ? JSON.stringify(presented.name) : 'a name';
  const permitted = constraints.permitted.filter((subtree) => subtree.kind === kind);
  const excluded = constraints.excluded.filter((subtree) => subtree.kind === kind);
  const verdicts = (subtrees: readonly NameSubtree[], side: Side): (boolean | undefined)[] =>
    subtrees.map((subtree) => matches(presented, subtree, side));
  const inPermitted = verdicts(permitted, 'permitted');
  const inExcluded = verdicts(excluded, 'excluded');
  if ([...inPermitted, ...inExcluded].includes(undefined)) {
    return `${kind} ${text} cannot be compared with a name constraint`;
  }
  if (inExcluded.includes(true)) return `${kind} ${text} is excluded`;
  if (permitted.length > 0 && !inPermitted.includes(true))
    return `${kind} ${text} is not permitted`;
  return undefined;
}

type Side = 'permitted' | 'excluded';

/** Undefined if the two cannot be compared; then neither side may be believed. */
function matches(presented: PresentedName, subtree: NameSubtree, side: Side): boolean | undefined {
  const { kind, name } = presented;
  switch (subtree.kind) {
    case 'uri':
      return kind === 'uri' ? matchesUri(name, subtree.base) : false;
    case 'dns':
      return kind === 'dns' ? matchesDns(name, subtree.base, side === 'excluded') : false;
    case 'email':
      return kind === 'email' ? matchesEmail(name, subtree.base) : false;
    case 'ip':
      return kind === 'ip' ? matchesIp(name, subtree.base, subtree.mask) : false;
    case 'directory':
      return kind === 'directory' ? matchesDirectory(name, subtree.base) : false;
    case 'other':
    default:
      return false;
  }
}
