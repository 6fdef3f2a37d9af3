/** Who may do what on the admin API: a role each SPIFFE ID is given, deny by default. */

import { z } from 'zod';
import { type AdminVerb, adminVerbs } from '../../api/index.ts';
import {
  decidePeer,
  parsePeerPolicy,
  type PeerPolicy,
  PeerPolicyError,
} from '../../policies/index.ts';
import {
  parseSpiffeId,
  pathOf,
  type SpiffeId,
  SpiffeIdError,
  type TrustDomain,
  trustDomainOf,
} from '../../spiffe/index.ts';

export type AdminRole = 'viewer' | 'operator' | 'admin';

/** What a caller was given. Limits narrow the role: a grant with `paths` reaches nothing outside them. */
export interface Grant {
  readonly role: AdminRole;
  /** Prefixes of SPIFFE ID paths, by whole segments: `/team-a` is also `/team-a/web`, never `/team-ab`. */
  readonly paths?: readonly string[];
  /**
   * With `paths`: the prefixes that an entry's parent must be under. Absent: as `paths`, so that whoever has
   * `/team-a` gives identities on nodes of an alias under `/team-a`, and on no other.
   */
  readonly parents?: readonly string[];
  readonly verbs?: readonly AdminVerb[];
}

export interface RoleRule extends Grant {
  readonly policy: PeerPolicy;
}

export type RoleVerdict =
  /** `paths` undefined: everywhere. */
  | {
      readonly kind: 'allowed';
      readonly paths: readonly string[] | undefined;
      /** The same, grant by grant; undefined: everywhere. */
      readonly reaches: readonly Reach[] | undefined;
    }
  | { readonly kind: 'denied'; readonly reason: string };

/** Where one grant reaches: identities under `paths`, on nodes that are named by something under `parents`. */
export interface Reach {
  readonly paths: readonly string[];
  readonly parents: readonly string[];
}

/** An identity, and the node or alias that it is given on. */
export interface Placement {
  readonly spiffeId: string;
  readonly parentId: string;
}

/** The grants of all rules that name this ID; none means that it may do nothing. */
export function grantsOf(rules: readonly RoleRule[], id: SpiffeId): readonly Grant[] {
  return rules.filter(({ policy }) => decidePeer(policy, id).kind === 'allow');
}

/** Grants add up: one that allows is enough, and the widest reach of those that allow counts. */
export function decideRole(
  grants: readonly Grant[],
  operation: { readonly resource: string; readonly verb: AdminVerb },
): RoleVerdict {
  const allowing = grants.filter((grant) => allows(grant, operation));
  if (allowing.length === 0) {
    const roles = grants.map(({ role }) => role).join(', ');
    const has = roles === '' ? 'no role' : `the role ${roles}, which does not cover it`;
    return { kind: 'denied', reason: `${operation.verb} on ${operation.resource}: has ${has}` };
  }
  if (allowing.some(({ paths }) => paths === undefined)) {
    return { kind: 'allowed', paths: undefined, reaches: undefined };
  }
  const reaches = allowing.map(({ paths = [], parents = paths }) => ({ paths, parents }));
  return { kind: 'allowed', paths: reaches.flatMap(({ paths }) => paths), reaches };
}

/**
 * Whether one of the grants covers both the identity and where it is given: two halves of two grants make no
 * whole. A node's own ID and the CA's (whose entries name nodes) are under `/signet`, so only a grant that
 * says so in `parents` reaches them.
 */
export function mayPlace(reaches: readonly Reach[], { spiffeId, parentId }: Placement): boolean {
  return reaches.some(
    ({ paths, parents }) => isWithin(paths, spiffeId) && isWithin(parents, parentId),
  );
}

/**
 * Whether the ID is named by a rule in full. Whoever may hand out such an identity has its role, so only
 * an admin may.
 */
export function holdsRole(rules: readonly RoleRule[], spiffeId: string): boolean {
  return rules.some(({ policy }) => [...policy.ids].some((id) => id === spiffeId));
}

/**
 * The trust domain that the rule names, if it is another one. A caller is verified against our own bundle
 * alone, so such a rule would give a role to nobody, and its author would think otherwise.
 */
export function strangerTo(
  trustDomain: TrustDomain,
  { policy }: RoleRule,
): TrustDomain | undefined {
  const named = [...[...policy.ids].map(trustDomainOf), ...policy.trustDomains];
  return named.find((each) => each !== trustDomain);
}

/** Whether the SPIFFE ID is within one of the prefixes; text that is no SPIFFE ID is within none. */
export function isWithin(paths: readonly string[] | undefined, spiffeId: string): boolean {
  if (paths === undefined) return true;
  let path: string;
  try {
    path = pathOf(parseSpiffeId(spiffeId));
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error;
    return false;
  }
  return paths.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));
}

function allows(
  { role, verbs }: Grant,
  operation: { readonly resource: string; readonly verb: AdminVerb },
): boolean {
  if (verbs !== undefined && !verbs.includes(operation.verb)) return false;
  if (role === 'admin' || operation.verb === 'read') return true;
  return role === 'operator' && operatorResources.has(operation.resource);
}

const pathsField = z
  .array(z.string().regex(/^(?:\/[A-Za-z0-9._-]+)+$/, { message: 'write a path such as /team-a' }))
  .min(1);

/** A rule in the CA's config. */
export const roleRuleField = z
  .strictObject({
    /** A SPIFFE ID in full, or `spiffe://<trust domain>/*`. */
    spiffeId: z.string(),
    role: z.enum(['viewer', 'operator', 'admin']),
    paths: pathsField.optional(),
    parents: pathsField.optional(),
    verbs: z.array(z.enum(adminVerbs)).min(1).optional(),
  })
  .refine(({ paths, parents }) => paths !== undefined || parents === undefined, {
    path: ['parents'],
    message: 'narrows a role that has paths; give paths too',
  })
  .transform(({ spiffeId, role, paths, parents, verbs }, context): RoleRule => {
    try {
      return {
        policy: parsePeerPolicy([spiffeId]),
        role,
        ...(paths === undefined ? {} : { paths }),
        ...(parents === undefined ? {} : { parents }),
        ...(verbs === undefined ? {} : { verbs }),
      };
    } catch (error) {
      if (!(error instanceof PeerPolicyError)) throw error;
      context.addIssue({ code: 'custom', path: ['spiffeId'], message: error.message });
      return z.NEVER;
    }
  });

// What is run day by day. Authorities, policy and the audit log's keeping are an admin's; so are rules,
// which can derive any identity, one with a role included.
const operatorResources: ReadonlySet<string> = new Set(['entries', 'tokens', 'nodes']);
