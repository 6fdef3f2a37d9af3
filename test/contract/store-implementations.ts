/** Every store there is, for the contracts that each of them keeps. */

import { openLevelStore } from '../../ca/store/level-store.ts';
import type { Store } from '../../ca/store/store.ts';
import { MemoryStore } from '../fakes/memory-store.ts';

export interface StoreImplementation {
  readonly name: string;
  open(directory: string, eventRevisionsKept?: number): Promise<Store>;
}

export const storeImplementations: readonly StoreImplementation[] = [
  {
    name: 'level',
    open: (directory, kept) =>
      openLevelStore({ directory, ...(kept === undefined ? {} : { eventRevisionsKept: kept }) }),
  },
  {
    name: 'memory',
    open: (_directory, kept) =>
      Promise.resolve(new MemoryStore(kept === undefined ? {} : { eventRevisionsKept: kept })),
  },
];
