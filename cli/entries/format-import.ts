/** What an import did or would do, as a diff for people. */

import type { ImportChangeView, ImportResult } from '../../api/index.ts';

export function formatImport(result: ImportResult): string {
  const lines = result.changes.map((change) => `${signs[change.kind]} ${describe(change)}\n`);
  const count = (kind: ImportChangeView['kind']): number =>
    result.changes.filter((change) => change.kind === kind).length;
  const [added, changed, removed] = result.outcome === 'applied' ? past : future;
  const summary =
    `${count('add')} ${added}, ${count('change')} ${changed}, ` +
    `${count('remove')} ${removed}, ${result.unchanged} as they were\n`;
  return [...lines, summary].join('');
}

function describe({ spiffeId, parentId, selectors, fields }: ImportChangeView): string {
  const what = `${spiffeId}  ${selectors.join(' ')}  on ${parentId}`;
  return fields.length === 0 ? what : `${what}  (${fields.join(', ')})`;
}

const signs = { add: '+', change: '~', remove: '-' } as const;
const past = ['added', 'changed', 'removed'] as const;
const future = ['to add', 'to change', 'to remove'] as const;
