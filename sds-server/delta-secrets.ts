/** `DeltaSecrets`: what changed since the last response, and what is gone. */

import type { DeltaDiscoveryRequest } from '../api/index.ts';
import {
  deltaNamesWatched,
  deltaStandingsOf,
  type DeltaState,
  openDelta,
  stepDelta,
} from './delta-subscription.ts';
import { deltaResponseBytes } from './response-bytes.ts';
import type { SubscriptionProtocol } from './subscription-step.ts';

export const delta: SubscriptionProtocol<DeltaState, DeltaDiscoveryRequest> = {
  name: 'delta',
  open: openDelta,
  step: stepDelta,
  namesOf: (state) => state.names,
  claimedBy: (state) => state.claimed,
  watchedBy: deltaNamesWatched,
  standings: deltaStandingsOf,
  usedBy: (state, name) => state.held.get(name)?.used,
  response: deltaResponseBytes,
};
