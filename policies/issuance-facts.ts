/** What an issuance rule may ask about: typed facts, and how they look inside an expression. */

import { Environment } from '@marcbachmann/cel-js';
import { pathOf, type SpiffeId } from '../spiffe/index.ts';

export interface IssuanceFacts {
  readonly node: {
    readonly id: string;
    /** What the node was proved to be. */
    readonly selectors: readonly string[];
  };
  readonly entry: {
    readonly id: string;
    readonly spiffeId: SpiffeId;
    readonly dnsNames: readonly string[];
    readonly hint: string;
    readonly admin: boolean;
    readonly createdAtMs: number;
  };
  readonly request: {
    readonly kind: 'x509' | 'jwt';
    readonly ttlSeconds: number;
    /** Such as `ec-p256`; empty for a JWT-SVID, which has no key of its own. */
    readonly keyType: string;
    /** Empty for an X509-SVID. */
    readonly audience: readonly string[];
  };
  readonly nowMs: number;
}

/** The types of all facts, and nothing else: an expression that names another is refused when it is read. */
export function factsEnvironment(): Environment {
  return new Environment({ limits: expressionLimits })
    .registerType('Node', { fields: { id: 'string', selectors: 'list<string>' } })
    .registerType('Entry', {
      fields: {
        id: 'string',
        spiffeId: 'string',
        path: 'string',
        dnsNames: 'list<string>',
        hint: 'string',
        admin: 'bool',
        createdAt: timestamp,
      },
    })
    .registerType('Request', {
      fields: {
        kind: 'string',
        ttlSeconds: 'int',
        keyType: 'string',
        audience: 'list<string>',
      },
    })
    .registerVariable('node', 'Node')
    .registerVariable('entry', 'Entry')
    .registerVariable('request', 'Request')
    .registerVariable('now', timestamp)
    .registerFunction(`${timestamp}.hour(): int`, (time: Date) => BigInt(time.getUTCHours()))
    .registerFunction(`${timestamp}.weekday(): int`, (time: Date) => BigInt(isoWeekday(time)))
    .registerFunction(`${timestamp}.date(): string`, (time: Date) =>
      time.toISOString().slice(0, 10),
    )
    .registerFunction('string.under(string): bool', isUnder)
    .registerFunction('string.segment(int): string', segmentOf);
}

/** The facts as the expressions' variables. */
export function variablesOf({ node, entry, request, nowMs }: IssuanceFacts): Variables {
  return {
    node: { id: node.id, selectors: node.selectors },
    entry: {
      id: entry.id,
      spiffeId: entry.spiffeId,
      path: pathOf(entry.spiffeId),
      dnsNames: entry.dnsNames,
      hint: entry.hint,
      admin: entry.admin,
      createdAt: new Date(entry.createdAtMs),
    },
    // Whole numbers of the language are 64 bits wide.
    request: { ...request, ttlSeconds: BigInt(Math.ceil(request.ttlSeconds)) },
    now: new Date(nowMs),
  };
}

export type Variables = Record<string, unknown>;

/** Whole segments: `/ns/pay` is not under `/ns/p`, as `startsWith` would have it. */
function isUnder(path: string, parent: string): boolean {
  const prefix = parent.endsWith('/') ? parent.slice(0, -1) : parent;
  return path === prefix || path.startsWith(`${prefix}/`);
}

/** The segment of a path by its place from 0, or '' where there is none, so that no rule fails for a short path. */
function segmentOf(path: string, index: bigint): string {
  return path.split('/')[Number(index) + 1] ?? '';
}

/** ISO 8601: Monday is 1, Sunday is 7. */
function isoWeekday(time: Date): number {
  return time.getUTCDay() === 0 ? 7 : time.getUTCDay();
}

const timestamp = 'google.protobuf.Timestamp';

// A rule is read by people: what does not fit a screen is better two rules.
const expressionLimits = {
  maxAstNodes: 400,
  maxDepth: 24,
  maxListElements: 64,
  maxMapEntries: 0,
  maxCallArguments: 4,
};
