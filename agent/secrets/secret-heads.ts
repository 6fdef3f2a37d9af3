/** Which named secrets there are for the entries of this node, as the CA pushes it: no value is in it. */

import type { SyncResponse } from '../../api/index.ts';
import type { AgentEntry } from '../ca-state.ts';

export interface SecretHeadState {
  readonly version: bigint;
  readonly entryIds: 'all' | ReadonlySet<string>;
}

export type SecretHeads = ReadonlyMap<string, SecretHeadState>;

export function readSecretHeads({ secrets }: Pick<SyncResponse, 'secrets'>): SecretHeads {
  if (secrets.length === 0) return noSecretHeads;
  return new Map(
    secrets.slice(0, headsMax).map(({ name, version, entryIds }) => {
      const forAll = entryIds.length === 1 && entryIds[0] === allEntries;
      return [name, { version, entryIds: forAll ? 'all' : new Set(entryIds) }];
    }),
  );
}

/** Whether the CA may give the secret to this entry; of an entry that a rule derived it says so by the rule. */
export function isHeadFor({ entryIds }: SecretHeadState, { id, derivedFrom }: AgentEntry): boolean {
  if (entryIds === 'all' || entryIds.has(id)) return true;
  return derivedFrom !== undefined && entryIds.has(id.slice(0, id.lastIndexOf('#')));
}

export const noSecretHeads: SecretHeads = new Map();
const allEntries = '*';
// A CA has no more secrets than this.
const headsMax = 10_000;
