/**
 * Deletes what has ended and serves nobody any more: entries past their end, and join tokens. One that a
 * registered node came with stays as long as the node: it comes back with it after a long outage.
 */

import { type Clock, type Closable, describeError, type Logger, sleep } from '../../core/index.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { auditedEntry } from './audited-entry.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import type { Registry } from './registry.ts';
import { RegistryError } from './registry-error.ts';

export interface PruningDeps {
  readonly registry: Pick<
    Registry,
    'listEntries' | 'deleteEntry' | 'listTokens' | 'deleteToken' | 'getNode'
  >;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether the time is sure: what is deleted does not come back when the clock does. Absent: it is. */
  readonly mayForget?: () => boolean;
}

/** Prunes now and then until it is closed. An entry gives nothing from its end on, pruned or not. */
export function startPruning(deps: PruningDeps): Closable {
  const closed = new AbortController();
  const running = pruneForEver(deps, closed.signal);
  return {
    async close() {
      closed.abort();
      await running;
    },
  };
}

/** One round; returns how many of each were deleted. */
async function pruneOnce(
  deps: PruningDeps,
  signal: AbortSignal,
): Promise<{ readonly entries: number; readonly tokens: number }> {
  if (deps.mayForget?.() === false) return { entries: 0, tokens: 0 };
  const nowMs = deps.clock.wallMs();
  const { registry, audit } = deps;
  const record = (entry: RegistrationEntry): Promise<unknown> =>
    audit.append({ actor: systemActor, type: 'entry.deleted', entry: auditedEntry(entry) });
  const entries = await pruneEach(
    (after) => registry.listEntries({ limit: pageSize, ...after }),
    async ({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs <= nowMs,
    async ({ id, revision }) => {
      // By its revision: an operator may have given it more time since the page was read.
      await registry.deleteEntry(id, { expectedRevision: revision, record });
    },
    signal,
  );
  const tokens = await pruneEach(
    (after) => registry.listTokens({ limit: pageSize, ...after }),
    async ({ expiresAtMs, used }) =>
      expiresAtMs + tokenKeptMs <= nowMs &&
      (used === undefined || (await registry.getNode(used.nodeId)) === undefined),
    async ({ id }) => void (await registry.deleteToken(id)),
    signal,
  );
  return { entries, tokens };
}

async function pruneForEver(deps: PruningDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const { entries, tokens } = await pruneOnce(deps, signal);
      if (entries + tokens > 0) deps.log.info('pruned what has ended', { entries, tokens });
    } catch (error) {
      // The store may be full or away for a while; what has ended gives nothing meanwhile.
      deps.log.warn('what has ended could not be pruned', { reason: describeError(error) });
    }
    await sleep(deps.clock, roundMs, signal);
  }
}

async function pruneEach<Item>(
  page: (after: {
    readonly after?: string;
  }) => Promise<{ readonly items: readonly Item[]; readonly next?: string }>,
  hasEnded: (item: Item) => Promise<boolean>,
  remove: (item: Item) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  for (let after: string | undefined; !signal.aborted; ) {
    const { items, next } = await page(after === undefined ? {} : { after });
    for (const item of items) {
      if (count >= roundMax || signal.aborted) return count;
      if (!(await hasEnded(item))) continue;
      try {
        await remove(item);
        count += 1;
      } catch (error) {
        // Somebody else changed or deleted it first.
        if (!(error instanceof RegistryError)) throw error;
      }
    }
    if (next === undefined) break;
    after = next;
  }
  return count;
}

const systemActor = { kind: 'system', id: 'ca' } as const;
const roundMs = 60_000;
// A round must not keep the store from those who wait for it; the rest goes in the next ones.
const roundMax = 1000;
const pageSize = 1000;
// So long a used or late token is still told apart from one that nobody made.
const tokenKeptMs = 86_400_000;
