/**
 * One state-of-the-world stream as a pure machine: (state, event) → (state, actions).
 *
 * The rules, from the xDS protocol and from how Envoy and its control planes went wrong:
 *
 *  1. every response has a nonce of its own; an ACK is answered with nothing;
 *  2. a NACK is answered with nothing until the content changes, else both sides loop for ever; a secret that is
 *     gone from a refused response is a change too, because the others may have been refused for it;
 *  3. a request that echoes an older nonce is stale and ignored: the client has a newer one coming;
 *  4. a changed set of names is answered, also when the version stays the same;
 *  5. a request with no nonce knows nothing (a new or reconnected client) and is answered, whatever
 *     version it remembers;
 *  6. a name that is not ready, unknown or forbidden is left out and harms no other; with none ready
 *     nothing is sent, because Envoy takes an empty answer for an error;
 *  7. the first request with no names asks for everything, as the name `*` does beside any others; no names
 *     after names is an unsubscription;
 *  8. a secret that is gone is not announced: state of the world cannot say it, and the client keeps the
 *     last good one until it expires;
 *  9. a client that is slow gets the newest state once: changes that nobody sent are not made up for.
 */

import { checkNames, checkTypeUrl, SubscriptionError } from './request-bounds.ts';
import { versionOfSecrets } from './resource.ts';
import type { SecretSummary, SecretView } from './secret-view.ts';
import {
  type StandingNow,
  type SubscriptionEvent,
  type SubscriptionStep,
  wildcardName,
} from './subscription-step.ts';

/** The fields of a DiscoveryRequest that matter here. */
export interface SubscriptionRequest {
  readonly versionInfo: string;
  readonly typeUrl: string;
  readonly resourceNames: readonly string[];
  readonly responseNonce: string;
  readonly errorDetail: { readonly message: string } | undefined;
}

export type Wanted =
  /** Before the first request. */
  | { readonly kind: 'unasked' }
  | { readonly kind: 'none' }
  | { readonly kind: 'all' }
  | {
      readonly kind: 'named';
      readonly names: ReadonlySet<string>;
      /** `*` was among the names. */
      readonly all: boolean;
    };

/** One response: what it held and what became of it. */
export interface SentResponse {
  readonly nonce: string;
  readonly version: string;
  readonly secrets: ReadonlyMap<string, SecretSummary>;
  readonly reply: 'awaited' | 'acknowledged' | 'rejected';
  /** Sent on an operator's word, so that an earlier answer says nothing of it. */
  readonly again: boolean;
}

export interface SubscriptionState {
  /** Random per stream, so that a nonce of another stream is never taken for one of this. */
  readonly streamId: string;
  readonly wanted: Wanted;
  /** The client asked and nothing was ready: the next ready secret is sent even if it was sent before. */
  readonly owed: boolean;
  readonly responses: number;
  readonly last: SentResponse | undefined;
  /** The newest response that was acknowledged. A rejected one leaves it: the client goes on with it. */
  readonly acknowledged: SentResponse | undefined;
}

export function openSubscription(streamId: string): SubscriptionState {
  return {
    streamId,
    wanted: { kind: 'unasked' },
    owed: false,
    responses: 0,
    last: undefined,
    acknowledged: undefined,
  };
}

export function stepSubscription(
  state: SubscriptionState,
  event: SubscriptionEvent<SubscriptionRequest>,
): Step {
  const { view } = event;
  if (event.kind === 'request') return onRequest(state, event.request, view);
  if (event.kind === 'resend') return onResend(state, event.matches, view);
  return onSecretsChanged(state, view);
}

/** The names that the client spelt out; the same value while they stay the same. */
export function namesAsked({ wanted }: SubscriptionState): ReadonlySet<string> {
  return wanted.kind === 'named' ? wanted.names : noNames;
}

/** All that the client watches: everything means whatever there was to send. */
export function namesWatched({ wanted, last }: SubscriptionState): readonly string[] {
  if (wanted.kind === 'all' || (wanted.kind === 'named' && wanted.all)) {
    return [...new Set([...(last?.secrets.keys() ?? []), ...namesIn(wanted)])];
  }
  return namesIn(wanted);
}

/** How each secret of the newest response stands. What the client held before, a refusal of others leaves it. */
export function standingsOf(state: SubscriptionState): readonly StandingNow[] {
  const { wanted, last, acknowledged } = state;
  const standings: StandingNow[] = [];
  if (last === undefined || wanted.kind === 'none') return standings;
  for (const [name, secret] of last.secrets) {
    if (wanted.kind === 'named' && !wanted.all && !wanted.names.has(name)) continue;
    const isHeld = acknowledged?.secrets.get(name)?.version === secret.version;
    const isTaken = last.reply === 'acknowledged' || (isHeld && !last.again);
    const stands = isTaken ? 'acknowledged' : last.reply === 'awaited' ? 'sent' : 'refused';
    standings.push({ name, secret, state: stands });
  }
  return standings;
}

/** Throws {@link SubscriptionError} for a request that no server of secrets could answer. */
export function checkRequest(request: SubscriptionRequest): void {
  checkTypeUrl(request.typeUrl);
  checkNames(request.resourceNames);
}

function onRequest(state: SubscriptionState, request: SubscriptionRequest, view: SecretView): Step {
  try {
    checkRequest(request);
  } catch (error) {
    if (!(error instanceof SubscriptionError)) throw error;
    return { state, actions: [{ kind: 'fail', error }] };
  }
  const { last } = state;
  if (last !== undefined && request.responseNonce !== '' && request.responseNonce !== last.nonce) {
    return { state, actions: [] }; // Rule 3.
  }
  const replied =
    last !== undefined && request.responseNonce === last.nonce
      ? onReply(state, last, request)
      : { state, actions: [] };
  const wanted = wantedAfter(state.wanted, request.resourceNames);
  const asksAnew = request.responseNonce === '' || last === undefined; // Rule 5.
  if (!asksAnew && sameWanted(state.wanted, wanted)) {
    if (replied.state.last?.reply !== 'rejected') return replied; // Rule 1.
    const ready = readySecrets(wanted, view);
    if (!isFreed(replied.state, ready)) return replied; // Rule 2.
    const freed = send(replied.state, ready);
    return { state: freed.state, actions: [...replied.actions, ...freed.actions] };
  }
  const answered = answer({ ...replied.state, wanted, owed: true }, view); // Rule 4.
  return { state: answered.state, actions: [...replied.actions, ...answered.actions] };
}

/**
 * An ACK or a NACK of the last response. A repeated one changes nothing. A client may come to accept what
 * it rejected (the roots for a chain arrived meanwhile); then it names the version, because a request
 * without an error is also how it changes its names.
 */
function onReply(state: SubscriptionState, last: SentResponse, request: SubscriptionRequest): Step {
  const { version, reply } = last;
  if (request.errorDetail !== undefined) {
    if (reply !== 'awaited') return { state, actions: [] };
    return {
      state: { ...state, last: { ...last, reply: 'rejected' } },
      actions: [{ kind: 'rejected', version, detail: request.errorDetail.message }],
    };
  }
  const accepts = reply === 'awaited' || (reply === 'rejected' && request.versionInfo === version);
  if (!accepts) return { state, actions: [] };
  const acknowledged: SentResponse = { ...last, reply: 'acknowledged' };
  return {
    state: { ...state, last: acknowledged, acknowledged },
    actions: [{ kind: 'acknowledged', version }],
  };
}

function onSecretsChanged(state: SubscriptionState, view: SecretView): Step {
  if (state.owed) return answer(state, view);
  const sent = state.last?.secrets;
  const ready = readySecrets(state.wanted, view);
  // Rule 8: only what is new or different is a reason to send.
  const changed = [...ready].some(([name, secret]) => sent?.get(name)?.version !== secret.version);
  return changed || isFreed(state, ready) ? send(state, ready) : { state, actions: [] };
}

/** What was refused together and is not all there any more: the rest may have been refused for that. */
function isFreed({ last }: SubscriptionState, ready: ReadonlyMap<string, SecretSummary>): boolean {
  if (last?.reply !== 'rejected' || ready.size === 0) return false;
  return [...last.secrets.keys()].some((name) => !ready.has(name));
}

function onResend(
  state: SubscriptionState,
  matches: (name: string) => boolean,
  view: SecretView,
): Step {
  const ready = readySecrets(state.wanted, view);
  if (![...ready.keys()].some(matches)) return { state, actions: [] };
  return send(state, ready, true);
}

function answer(state: SubscriptionState, view: SecretView): Step {
  const ready = readySecrets(state.wanted, view);
  return ready.size === 0 ? { state, actions: [] } : send(state, ready); // Rule 6.
}

function send(
  state: SubscriptionState,
  secrets: ReadonlyMap<string, SecretSummary>,
  again = false,
): Step {
  const responses = state.responses + 1;
  const nonce = `${state.streamId}-${responses}`;
  const version = versionOfSecrets([...secrets]);
  return {
    state: {
      ...state,
      owed: false,
      responses,
      last: { nonce, version, secrets, reply: 'awaited', again },
    },
    actions: [{ kind: 'send', nonce, version, names: [...secrets.keys()], removed: [] }],
  };
}

function readySecrets(wanted: Wanted, view: SecretView): ReadonlyMap<string, SecretSummary> {
  const all = wanted.kind === 'all' || (wanted.kind === 'named' && wanted.all);
  const ready = new Map<string, SecretSummary>();
  for (const name of [...namesIn(wanted), ...(all ? view.names() : [])]) {
    const secret = view.get(name);
    if (secret !== undefined) ready.set(name, secret);
  }
  return ready;
}

function namesIn(wanted: Wanted): readonly string[] {
  return wanted.kind === 'named' ? [...wanted.names] : [];
}

/** Rule 7. */
function wantedAfter(before: Wanted, names: readonly string[]): Wanted {
  if (names.length > 0) {
    const spelt = new Set(names);
    const wanted: Wanted = { kind: 'named', all: spelt.delete(wildcardName), names: spelt };
    return sameWanted(before, wanted) ? before : wanted;
  }
  if (before.kind === 'unasked') return { kind: 'all' };
  return before.kind === 'named' ? { kind: 'none' } : before;
}

function sameWanted(left: Wanted, right: Wanted): boolean {
  if (left.kind !== 'named' || right.kind !== 'named') return left.kind === right.kind;
  if (left.all !== right.all || left.names.size !== right.names.size) return false;
  return [...right.names].every((name) => left.names.has(name));
}

type Step = SubscriptionStep<SubscriptionState>;
const noNames: ReadonlySet<string> = new Set();
