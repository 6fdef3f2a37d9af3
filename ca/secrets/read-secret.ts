/**
 * What a node reads for one of its workloads: a named secret, or session-ticket keys. Who may is judged
 * here, each time, and the record is durable before a byte of it leaves.
 */

import type {
  ReadSecretRequest,
  ReadSecretResponse,
  SessionTicketKeysRequest,
  SessionTicketKeysResponse,
} from '../../api/index.ts';
import type { Clock } from '../../core/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { IssuanceGate } from '../guards/gate.ts';
import {
  type IssuanceRefusal,
  IssuanceRefusedError,
  refuse,
} from '../issuance/issuance-refusal.ts';
import type { IssuanceDeps } from '../issuance/issue.ts';
import { authorizeEntry, type NodeCaller } from '../issuance/profile.ts';
import type { RegistrationEntry } from '../registry/registration-entry.ts';
import { entitledBy, newestOf } from './named-secret.ts';
import type { SecretStore } from './secret-store.ts';
import type { TicketKeySource } from './ticket-keys.ts';

export interface SecretReads {
  readonly store: Pick<SecretStore, 'get' | 'open'>;
  readonly tickets: TicketKeySource;
}

export interface ReadSecretDeps {
  readonly secrets: SecretReads;
  /** Who may speak for which entry, and who is blocked: as issuance has it. */
  readonly authority: Pick<IssuanceDeps, 'isNode' | 'authorizedEntry' | 'whyBlocked'>;
  readonly gate: Pick<IssuanceGate, 'sign'>;
  readonly audit: AuditLog;
  readonly clock: Clock;
}

/** Throws {@link IssuanceRefusedError}, SecretError, or what the gate throws. */
export function readSecret(
  deps: ReadSecretDeps,
  request: ReadSecretRequest,
  caller: NodeCaller,
): Promise<ReadSecretResponse> {
  const name = request.name.slice(0, nameLengthMax);
  return deps.gate.sign(caller.id, async () => {
    const entry = await entryOf(deps, request, name, caller);
    const secret = await deps.secrets.store.get(request.name);
    if (secret === undefined || entitledBy(secret, entry.spiffeId) === undefined) {
      // One answer for "no such secret" and "not yours": a node learns nothing of others' secrets.
      const refusal = refuse(
        'permission_denied',
        'secret_not_entitled',
        `${entry.spiffeId} may have no secret ${JSON.stringify(name)}`,
      );
      return denied(deps, { name, caller, entryId: entry.id, spiffeId: entry.spiffeId }, refusal);
    }
    const newest = newestOf(secret).version;
    const version = request.version === 0n ? newest : Number(request.version);
    const values = await deps.secrets.store.open(secret, version);
    await recordRead(deps, { name, version, entry, caller });
    return {
      version: BigInt(version),
      values: Object.fromEntries(
        [...values].map(([each, value]) => [each, Buffer.from(value.buffer)]),
      ),
    };
  });
}

/** As {@link readSecret}. */
export function sessionTicketKeys(
  deps: ReadSecretDeps,
  request: SessionTicketKeysRequest,
  caller: NodeCaller,
): Promise<SessionTicketKeysResponse> {
  return deps.gate.sign(caller.id, async () => {
    const entry = await entryOf(deps, request, ticketKeysName, caller);
    const { keys, epochMs, refreshAtMs } = await deps.secrets.tickets.keysOf(entry.spiffeId);
    // The epoch stands for a version: seconds, so that it can be read as a time.
    const version = Math.floor(epochMs / 1000);
    await recordRead(deps, { name: ticketKeysName, version, entry, caller });
    return {
      keys: keys.map((key) => Buffer.from(key.buffer)),
      refreshAtMs: BigInt(refreshAtMs),
    };
  });
}

async function entryOf(
  deps: ReadSecretDeps,
  request: { readonly entryId: string; readonly selectors: readonly string[] },
  name: string,
  caller: NodeCaller,
): Promise<RegistrationEntry> {
  const { entryId, selectors } = request;
  const granted = await authorizeEntry(deps.authority, caller, entryId, selectors);
  const subject = { name, caller, entryId: entryId.slice(0, entryIdLengthMax) };
  if (granted.kind === 'refused') return denied(deps, subject, granted);
  const { entry } = granted;
  const { spiffeId } = entry;
  const blocked = deps.authority.whyBlocked?.(spiffeId);
  if (blocked !== undefined) {
    const refusal = refuse('permission_denied', 'id_blocked', `${spiffeId}: ${blocked}`);
    return denied(deps, { ...subject, spiffeId }, refusal);
  }
  if (entry.expiresAtMs !== undefined && entry.expiresAtMs <= deps.clock.wallMs()) {
    const refusal = refuse('permission_denied', 'entry_ending', `the entry ${entry.id} has ended`);
    return denied(deps, { ...subject, spiffeId }, refusal);
  }
  return entry;
}

async function recordRead(
  deps: Pick<ReadSecretDeps, 'audit'>,
  p: {
    readonly name: string;
    readonly version: number;
    readonly entry: RegistrationEntry;
    readonly caller: NodeCaller;
  },
): Promise<void> {
  await deps.audit.append({
    actor: { kind: 'node', id: p.caller.id, address: p.caller.address },
    type: 'secret.read',
    name: p.name,
    version: p.version,
    spiffeId: p.entry.spiffeId,
    entryId: p.entry.id,
  });
}

async function denied(
  deps: Pick<ReadSecretDeps, 'audit'>,
  p: {
    readonly name: string;
    readonly caller: NodeCaller;
    readonly entryId: string;
    readonly spiffeId?: string;
  },
  refusal: IssuanceRefusal,
): Promise<never> {
  const { caller, ...subject } = p;
  const { code, detail } = refusal;
  await deps.audit.append({
    actor: { kind: 'node', id: caller.id, address: caller.address },
    type: 'secret.denied',
    ...subject,
    refusal: { code, detail },
  });
  throw new IssuanceRefusedError(refusal);
}

/** What the SDS name means is also what the log calls them. */
const ticketKeysName = 'session-ticket-keys';
const nameLengthMax = 128;
// As in SignX509Svids: what a stranger writes goes into the log no longer than it may be.
const entryIdLengthMax = 192;
