/** What of an entry or a rule goes into the audit log: all that an operator decided, in the admin API's words. */

import type { AuditedEntry, AuditedRule } from '../audit/event.ts';
import type { IdentityRule } from './identity-rule.ts';
import type { RegistrationEntry } from './registration-entry.ts';

export function auditedEntry(entry: RegistrationEntry): AuditedEntry {
  const { id, spiffeId, parentId, selectors, revision, expiresAtMs } = entry;
  const { dnsNames, hint, federatesWith, admin, priority } = entry;
  return {
    id,
    spiffeId,
    parentId,
    selectors,
    revision,
    ...ttlsOf(entry),
    dnsNames,
    hint,
    federatesWith,
    admin,
    priority,
    ...(expiresAtMs === undefined ? {} : { expiresAt: new Date(expiresAtMs).toISOString() }),
  };
}

export function auditedRule(rule: IdentityRule): AuditedRule {
  const { id: ruleId, template, selectors, nodeSelectors, trust, hint, priority } = rule;
  const { dnsNames = [], federatesWith = [] } = rule;
  return {
    ruleId,
    template,
    selectors,
    nodeSelectors,
    ...(trust === undefined ? {} : { trust }),
    ...ttlsOf(rule),
    dnsNames,
    federatesWith,
    hint,
    priority,
  };
}

function ttlsOf({
  x509SvidTtlMs,
  jwtSvidTtlMs,
}: {
  readonly x509SvidTtlMs?: number;
  readonly jwtSvidTtlMs?: number;
}): Pick<AuditedEntry, 'x509SvidTtlSeconds' | 'jwtSvidTtlSeconds'> {
  return {
    ...(x509SvidTtlMs === undefined ? {} : { x509SvidTtlSeconds: x509SvidTtlMs / 1000 }),
    ...(jwtSvidTtlMs === undefined ? {} : { jwtSvidTtlSeconds: jwtSvidTtlMs / 1000 }),
  };
}
