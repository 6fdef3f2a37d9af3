/** The Envoy configurations of the documentation, as they stand there but for addresses and paths. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { projectRoot } from '../architecture/source-files.ts';

export interface PagePorts {
  readonly admin: number;
  readonly in: number;
  readonly out: number;
  readonly peer: number;
  readonly app: number;
}

/** The bootstrap of docs/sds.md; `peer` is whom it wants to meet. */
export function documentedEnvoy(peer: string, ports: PagePorts): string {
  return changed(blockOf('docs/sds.md', 'envoy.yaml'), [
    ['spiffe://mesh.test/orders', `spiffe://mesh.test/${peer}`],
    ['19000', ports.admin],
    ['15443', ports.in],
    ['15001', ports.out],
    ['25443', ports.peer],
    ['8080', ports.app],
  ]);
}

/** The same on a machine without an agent: with the cluster of docs/sds/remote.md in the place of its own. */
export function documentedRemoteEnvoy(peer: string, ports: PagePorts): string {
  const page = documentedEnvoy(peer, ports);
  const start = page.indexOf('    - name: agent_sds');
  const end = page.indexOf('    - name: app');
  expect([start > 0, end > start]).toEqual([true, true]);
  const cluster = blockOf('docs/sds/remote.md', 'envoy.yaml: the cluster agent_sds');
  return `${page.slice(0, start)}${cluster}${page.slice(end)}`;
}

/** The YAML of a page that begins with the comment `title`. */
export function blockOf(page: string, title: string): string {
  const text = readFileSync(join(projectRoot, page), 'utf8');
  const start = text.indexOf(`\`\`\`yaml\n# ${title}\n`);
  expect(start, `${title} in ${page}`).toBeGreaterThan(0);
  const from = text.indexOf('\n', text.indexOf('\n', start) + 1) + 1;
  return text.slice(from, text.indexOf('```', from));
}

/** Each of what is shown must be there, and becomes what is real. */
export function changed(
  text: string,
  changes: readonly (readonly [shown: string, real: string | number])[],
): string {
  for (const [shown] of changes) expect(text).toContain(shown);
  // All at once: what one of them becomes may look like what another one is.
  const real = new Map(changes);
  const any = new RegExp(changes.map(([shown]) => escaped(shown)).join('|'), 'g');
  return text.replaceAll(any, (shown) => String(real.get(shown)));
}

/** The text as a regular expression that means itself. */
function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
}
