/** Nodes whose certificate is still good: they were connected before this start, and will be again. */

import type { AttestedNode } from './attested-node.ts';
import type { Registry } from './registry.ts';

export async function liveNodes(
  registry: Pick<Registry, 'listNodes'>,
  nowMs: number,
): Promise<readonly AttestedNode[]> {
  const live: AttestedNode[] = [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listNodes(after === undefined ? {} : { after });
    live.push(
      ...page.items.filter(({ notAfterMs, banned }) => notAfterMs > nowMs && banned === undefined),
    );
    if (page.next === undefined) return live;
    after = page.next;
  }
}
