/** Which records a question is about. Members are found by name at any depth, so that types that come later are found too. */

import { utf8Bytes } from '../../core/index.ts';
import type { AuditRecord } from './event.ts';

/** All that are given must hold; of `types` one must. */
export interface AuditFilter {
  /** A type such as `svid.issued`, or all of a kind: `svid.*`. */
  readonly types?: readonly string[] | undefined;
  /** A certificate's, a token's, an entry's or a node's own. */
  readonly spiffeId?: string | undefined;
  /** Lower hexadecimal. */
  readonly serial?: string | undefined;
  /** A node's SPIFFE ID: what it did, and what was done to it. */
  readonly node?: string | undefined;
  /** The id of whoever did it, or its first words: `uid:0` finds `uid:0 pid:4711`. */
  readonly actor?: string | undefined;
  readonly fromMs?: number | undefined;
  /** Not itself in the range. */
  readonly toMs?: number | undefined;
}

export function matchesFilter(record: AuditRecord, filter: AuditFilter): boolean {
  const { types, spiffeId, serial, node, actor, fromMs, toMs } = filter;
  const timeMs = Date.parse(record.time);
  if (fromMs !== undefined && !(timeMs >= fromMs)) return false;
  if (toMs !== undefined && !(timeMs < toMs)) return false;
  if (types !== undefined && !types.some((type) => isOfType(record.type, type))) return false;
  if (actor !== undefined && !`${record.actor.id} `.startsWith(`${actor} `)) return false;
  if (spiffeId !== undefined && !names(record, identityMembers, spiffeId)) return false;
  if (serial !== undefined && !names(record, serialMembers, serial)) return false;
  if (node === undefined) return true;
  const isByNode = record.actor.kind === 'node' && record.actor.id === node;
  return isByNode || names(record, nodeMembers, node);
}

/**
 * Whether the line may be of a record that matches, by its bytes alone: most lines need no parsing.
 * Records are canonical JSON, so a value is written in one way.
 */
export function lineTest(filter: AuditFilter): (line: Uint8Array) => boolean {
  const [type, ...otherTypes] = filter.types ?? [];
  const onlyType = otherTypes.length > 0 || type?.endsWith('.*') === true ? undefined : type;
  const values = [filter.spiffeId, filter.serial, filter.node, onlyType];
  const whole = values.filter((value) => value !== undefined).map((each) => JSON.stringify(each));
  // An actor is found by its first words: the value need not end where these do.
  const begun = filter.actor === undefined ? [] : [JSON.stringify(filter.actor).slice(0, -1)];
  const needles = [...whole, ...begun].map((text) => utf8Bytes(text));
  return (line) => {
    const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
    return needles.every((needle) => bytes.includes(needle));
  };
}

function isOfType(type: string, wanted: string): boolean {
  return wanted.endsWith('.*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}

function names(value: unknown, members: ReadonlySet<string>, wanted: string, depth = 0): boolean {
  if (typeof value !== 'object' || value === null || depth > depthMax) return false;
  return Object.entries(value).some(([name, member]: [string, unknown]) => {
    if (!members.has(name)) return names(member, members, wanted, depth + 1);
    return member === wanted || (Array.isArray(member) && member.includes(wanted));
  });
}

const identityMembers: ReadonlySet<string> = new Set(['spiffeId', 'nodeId', 'target']);
const serialMembers: ReadonlySet<string> = new Set(['serial', 'serials', 'jti', 'target']);
const nodeMembers: ReadonlySet<string> = new Set(['nodeId', 'parentId', 'target']);
// A record is two or three levels deep; a stranger's must not be walked for ever.
const depthMax = 6;
