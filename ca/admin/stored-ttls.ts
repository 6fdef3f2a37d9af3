/**
 * Warns of what is stored with a life that the config has become too short for. Such a life was right when it was
 * asked for; now it is cut each time it is used, and nobody would know.
 */

import { type Closable, describeError, type Logger } from '../../core/index.ts';
import type { Page, PageRequest, Registry } from '../registry/registry.ts';
import { type TtlDeps, type TtlDraft, ttlFaults } from './entry-ttl.ts';

export interface StoredTtlDeps extends TtlDeps {
  readonly registry: Pick<Registry, 'listEntries' | 'listRules'>;
  readonly log: Logger;
}

/** Looks through all of them once, beside the work of the CA. */
export function startTtlCheck(deps: StoredTtlDeps): Closable {
  const closed = new AbortController();
  const running = check(deps, closed.signal).catch((error: unknown) => {
    deps.log.warn('stored lifetimes could not be checked', { reason: describeError(error) });
  });
  return {
    async close() {
      closed.abort();
      await running;
    },
  };
}

async function check(deps: StoredTtlDeps, signal: AbortSignal): Promise<void> {
  const { registry } = deps;
  await checkEach(
    deps,
    'entries',
    (page) => registry.listEntries(page),
    ({ spiffeId }) => spiffeId,
    signal,
  );
  await checkEach(
    deps,
    'rules',
    (page) => registry.listRules(page),
    ({ template }) => template,
    signal,
  );
}

async function checkEach<Item extends TtlDraft & { readonly id: string }>(
  deps: StoredTtlDeps,
  kind: 'entries' | 'rules',
  list: (page: PageRequest) => Promise<Page<Item>>,
  nameOf: (item: Item) => string,
  signal: AbortSignal,
): Promise<void> {
  let cut = 0;
  for (let after: string | undefined; !signal.aborted; ) {
    const page = await list({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    for (const item of page.items) {
      const faults = ttlFaults(deps, item);
      if (faults.length === 0) continue;
      cut += 1;
      if (cut > toldMax) continue;
      deps.log.warn('what is stored asks for a longer life than the config gives, and is cut', {
        kind,
        id: item.id,
        name: nameOf(item),
        reason: faults.map(({ field, detail }) => `${field}: ${detail}`).join('; '),
        remedy: 'give it a shorter one, or lengthen lifetimes.issuing or jwt.ttlMax',
      });
    }
    if (page.next === undefined) break;
    after = page.next;
  }
  if (cut > toldMax) deps.log.warn('more are cut than are told of', { kind, count: cut });
}

const pageSize = 1000;
// Enough to see which; a log that names a hundred thousand is read by nobody.
const toldMax = 20;
