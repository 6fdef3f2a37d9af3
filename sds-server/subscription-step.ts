/** What the machines of both protocols have in common: events in, a new state and actions out. */

import type { Buffer } from 'node:buffer';
import type { SubscriptionError } from './request-bounds.ts';
import type { SecretResource } from './resource.ts';
import type { SecretSummary, SecretView } from './secret-view.ts';

export type SubscriptionEvent<Request> =
  | { readonly kind: 'request'; readonly request: Request; readonly view: SecretView }
  | { readonly kind: 'secrets_changed'; readonly view: SecretView }
  /** An operator wants the client to have these again, whatever it answered before. */
  | {
      readonly kind: 'resend';
      readonly matches: (name: string) => boolean;
      readonly view: SecretView;
    };

export interface SendAction {
  readonly kind: 'send';
  readonly nonce: string;
  readonly version: string;
  readonly names: readonly string[];
  /** Told to be gone; state of the world has no words for it. */
  readonly removed: readonly string[];
}

export type SubscriptionAction =
  | SendAction
  | { readonly kind: 'acknowledged'; readonly version: string }
  | { readonly kind: 'rejected'; readonly version: string; readonly detail: string }
  | { readonly kind: 'fail'; readonly error: SubscriptionError };

export interface SubscriptionStep<State> {
  readonly state: State;
  readonly actions: readonly SubscriptionAction[];
}

/** How one secret stands with the client, by the machine's state alone. */
export interface StandingNow {
  readonly name: string;
  readonly secret: SecretSummary;
  readonly state: 'sent' | 'acknowledged' | 'refused';
}

/** One of the two protocols: a pure machine, and how its state is read. */
export interface SubscriptionProtocol<State, Request> {
  readonly name: 'state_of_the_world' | 'delta';
  open(streamId: string): State;
  step(state: State, event: SubscriptionEvent<Request>): SubscriptionStep<State>;
  /** The names that the client spelt out; the same value while they stay the same. */
  namesOf(state: State): ReadonlySet<string>;
  /** Names that are kept beside those because the client said that it has them; the same value likewise. */
  claimedBy(state: State): ReadonlySet<string>;
  /** All it watches: those, and for a wildcard whatever there was to send. */
  watchedBy(state: State): readonly string[];
  standings(state: State): readonly StandingNow[];
  /** What the client works with: the newest it acknowledged, though it rejected another since. */
  usedBy(state: State, name: string): SecretSummary | undefined;
  /** The encoded message. */
  response(action: SendAction, resources: readonly SecretResource[]): Buffer;
}

// The xDS protocol's: the name that asks for everything, beside any others.
export const wildcardName = '*';
