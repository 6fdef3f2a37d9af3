/**
 * One state-of-the-world stream as a pure machine: (state, event) → (state, actions).
 *
 * The rules, from the xDS protocol and from how Envoy and its control planes went wrong:
 *
 *  1. every response has a nonce of its own; an ACK is answered with nothing;
 *  2. a NACK is answered with nothing until the content changes, else both sides loop for ever;
 *  3. a request that echoes an older nonce is stale and ignored: the client has a newer one coming;
 *  4. a changed set of names is answered, also when the version stays the same;
 *  5. a request with no nonce knows nothing (a new or reconnected client) and is answered, whatever
 *     version it remembers;
 *  6. a name that is not ready, unknown or forbidden is left out and harms no other; with none ready
 *     nothing is sent, because Envoy takes an empty answer for an error;
 *  7. the first request with no names asks for everything; no names after names is an unsubscription;
 *  8. a secret that is gone is not announced: state of the world cannot say it, and the client keeps the
 *     last good one until it expires.
 */

import { secretTypeUrl } from '../api/index.ts';
import { CodedError } from '../core/index.ts';
import { versionOfAll } from './resource.ts';

/** What the machine needs to know of a secret: never its bytes, so that no stream keeps a key alive. */
export interface SecretSummary {
  readonly version: string;
  readonly rootKeyIds: readonly string[];
}

/** The secrets that the stream's caller may see at the moment of an event. */
export interface SecretView {
  get(name: string): SecretSummary | undefined;
  /** One name for each secret. */
  names(): readonly string[];
}

/** The fields of a DiscoveryRequest that matter here. */
export interface SubscriptionRequest {
  readonly versionInfo: string;
  readonly typeUrl: string;
  readonly resourceNames: readonly string[];
  readonly responseNonce: string;
  readonly errorDetail: { readonly message: string } | undefined;
}

export type SubscriptionEvent =
  | {
      readonly kind: 'request';
      readonly request: SubscriptionRequest;
      readonly view: SecretView;
    }
  | { readonly kind: 'secrets_changed'; readonly view: SecretView };

export type SubscriptionAction =
  | {
      readonly kind: 'send';
      readonly nonce: string;
      readonly version: string;
      readonly names: readonly string[];
    }
  | { readonly kind: 'acknowledged'; readonly version: string }
  | { readonly kind: 'rejected'; readonly version: string; readonly detail: string }
  | { readonly kind: 'fail'; readonly error: SubscriptionError };

export type Wanted =
  /** Before the first request. */
  | { readonly kind: 'unasked' }
  | { readonly kind: 'none' }
  | { readonly kind: 'all' }
  | { readonly kind: 'named'; readonly names: readonly string[] };

/** One response: what it held and what became of it. */
export interface SentResponse {
  readonly nonce: string;
  readonly version: string;
  readonly secrets: ReadonlyMap<string, SecretSummary>;
  readonly reply: 'awaited' | 'acknowledged' | 'rejected';
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

export type SubscriptionErrorCode = 'sds_type_url' | 'sds_names' | 'sds_name_length';

export class SubscriptionError extends CodedError<SubscriptionErrorCode> {
  override readonly name = 'SubscriptionError';
  override readonly kind = 'invalid_argument';
}

export interface SubscriptionStep {
  readonly state: SubscriptionState;
  readonly actions: readonly SubscriptionAction[];
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
  event: SubscriptionEvent,
): SubscriptionStep {
  return event.kind === 'request'
    ? onRequest(state, event.request, event.view)
    : onSecretsChanged(state, event.view);
}

/** Throws {@link SubscriptionError} for a request that no server of secrets could answer. */
export function checkRequest(request: SubscriptionRequest): void {
  // An absent type is implied by the service; another type is a client that talks to the wrong one.
  if (request.typeUrl !== '' && request.typeUrl !== secretTypeUrl) {
    throw new SubscriptionError(
      'sds_type_url',
      `type ${JSON.stringify(request.typeUrl.slice(0, nameLengthMax))} is not served here, only ${secretTypeUrl}`,
    );
  }
  if (request.resourceNames.length > namesMax) {
    throw new SubscriptionError(
      'sds_names',
      `${request.resourceNames.length} resource names, at most ${namesMax} are taken`,
    );
  }
  for (const name of request.resourceNames) {
    if (name.length <= nameLengthMax) continue;
    throw new SubscriptionError(
      'sds_name_length',
      `a resource name of ${name.length} characters, at most ${nameLengthMax} are taken`,
    );
  }
}

function onRequest(
  state: SubscriptionState,
  request: SubscriptionRequest,
  view: SecretView,
): SubscriptionStep {
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
  if (!asksAnew && sameWanted(state.wanted, wanted)) return replied; // Rules 1 and 2.
  const answered = answer({ ...replied.state, wanted, owed: true }, view); // Rule 4.
  return { state: answered.state, actions: [...replied.actions, ...answered.actions] };
}

/**
 * An ACK or a NACK of the last response. A repeated one changes nothing. A client may come to accept what
 * it rejected (the roots for a chain arrived meanwhile); then it names the version, because a request
 * without an error is also how it changes its names.
 */
function onReply(
  state: SubscriptionState,
  last: SentResponse,
  request: SubscriptionRequest,
): SubscriptionStep {
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

function onSecretsChanged(state: SubscriptionState, view: SecretView): SubscriptionStep {
  if (state.owed) return answer(state, view);
  const sent = state.last?.secrets;
  const ready = readySecrets(state.wanted, view);
  // Rule 8: only what is new or different is a reason to send.
  const changed = [...ready].some(([name, secret]) => sent?.get(name)?.version !== secret.version);
  return changed ? send(state, ready) : { state, actions: [] };
}

function answer(state: SubscriptionState, view: SecretView): SubscriptionStep {
  const ready = readySecrets(state.wanted, view);
  return ready.size === 0 ? { state, actions: [] } : send(state, ready); // Rule 6.
}

function send(
  state: SubscriptionState,
  secrets: ReadonlyMap<string, SecretSummary>,
): SubscriptionStep {
  const responses = state.responses + 1;
  const nonce = `${state.streamId}-${responses}`;
  const version = versionOfAll(
    new Map([...secrets].map(([name, secret]) => [name, secret.version])),
  );
  return {
    state: {
      ...state,
      owed: false,
      responses,
      last: { nonce, version, secrets, reply: 'awaited' },
    },
    actions: [{ kind: 'send', nonce, version, names: [...secrets.keys()] }],
  };
}

function readySecrets(wanted: Wanted, view: SecretView): ReadonlyMap<string, SecretSummary> {
  const ready = new Map<string, SecretSummary>();
  for (const name of namesWanted(wanted, view)) {
    const secret = view.get(name);
    if (secret !== undefined)
      ready.set(name, { version: secret.version, rootKeyIds: secret.rootKeyIds });
  }
  return ready;
}

function namesWanted(wanted: Wanted, view: SecretView): readonly string[] {
  if (wanted.kind === 'named') return wanted.names;
  return wanted.kind === 'all' ? view.names() : [];
}

/** Rule 7. */
function wantedAfter(before: Wanted, names: readonly string[]): Wanted {
  if (names.length > 0) return { kind: 'named', names: [...new Set(names)] };
  if (before.kind === 'unasked') return { kind: 'all' };
  return before.kind === 'named' ? { kind: 'none' } : before;
}

function sameWanted(left: Wanted, right: Wanted): boolean {
  if (left.kind !== 'named' || right.kind !== 'named') return left.kind === right.kind;
  if (left.names.length !== right.names.length) return false;
  const names = new Set(left.names);
  return right.names.every((name) => names.has(name));
}

// An Envoy asks for one name a stream and ours for two; a gateway with a certificate per host for hundreds.
export const namesMax = 1000;
// SPIFFE ID-5: an ID has at most 2048 bytes, and no other name is longer.
export const nameLengthMax = 2048;
