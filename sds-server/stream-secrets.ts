/** `StreamSecrets`: the state of the world, all that a client asked for in each response. */

import type { DiscoveryRequest } from '../api/index.ts';
import { responseBytes } from './response-bytes.ts';
import {
  namesAsked,
  namesWatched,
  openSubscription,
  standingsOf,
  stepSubscription,
  type SubscriptionState,
} from './subscription.ts';
import type { SubscriptionProtocol } from './subscription-step.ts';

export const stateOfTheWorld: SubscriptionProtocol<SubscriptionState, DiscoveryRequest> = {
  name: 'state_of_the_world',
  open: openSubscription,
  step: stepSubscription,
  namesOf: namesAsked,
  // A version says nothing here, so nothing is believed.
  claimedBy: () => noNames,
  watchedBy: namesWatched,
  standings: standingsOf,
  usedBy: (state, name) => state.acknowledged?.secrets.get(name),
  response: responseBytes,
};

const noNames: ReadonlySet<string> = new Set();
