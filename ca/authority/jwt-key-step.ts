/**
 * The steps of a JWT key's life: each judges first, then says what is to be recorded and what is to be
 * stored. They are those of an X.509 authority, with tokens in the place of leaves.
 */

import { createPublicKey, type KeyObject } from 'node:crypto';
import { formatDurationMs, toHex } from '../../core/index.ts';
import { generateKeyPair, keyIdOf } from '../../pki/index.ts';
import { AuthorityError } from './authority-error.ts';
import { formatPropagation, hasArrived, type Propagation } from './evidence.ts';
import {
  activeJwtKey,
  type DueJwtKeyStep,
  endOfTokensMs,
  type JwtKey,
  type JwtKeySet,
  settledMs,
  waitingJwtKey,
  withActivatedJwtKey,
  withChangedJwtKey,
  withJwtKey,
  withoutJwtKey,
  withTaintedJwtKey,
} from './jwt-key.ts';

/** Where a step begins, and what it is judged by. */
export interface JwtKeyStepState {
  readonly set: JwtKeySet;
  readonly nowMs: number;
  readonly lifeMs: number;
  readonly tokenMs: number;
  readonly threshold: number;
  readonly propagationOf: (kid: string) => Propagation;
}

export type JwtKeyAct =
  | 'prepared'
  | 'published'
  | 'activated'
  | 'retired'
  | 'aborted'
  | 'tainted'
  | 'revoked';

export interface JwtKeyChange {
  readonly next: JwtKeySet;
  readonly made?: readonly (readonly [string, KeyObject])[];
  /** What is recorded, in this order, before anything is stored. */
  readonly acts: readonly {
    readonly act: JwtKeyAct;
    readonly key: JwtKey;
    readonly forced?: boolean;
    /** How far the bundle with it had got, where that was what the step was judged by. */
    readonly evidence?: Propagation;
  }[];
  /** The key the step was about, as it stands after it, or as it was dropped. */
  readonly key: JwtKey;
}

export type JwtKeyStep = (state: JwtKeyStepState) => JwtKeyChange;

/** What time and evidence made due. */
export function dueJwtKeyStepOf(due: DueJwtKeyStep): JwtKeyStep {
  switch (due.kind) {
    case 'begin':
      return beginJwtKey;
    case 'prepare':
      return (state) => prepared(state, { isAutomatic: true });
    case 'publish':
      return publishJwtKey(due.id);
    case 'activate':
      return (state) => activated(state, due.id, false);
    case 'retire':
      return (state) => dropped(state, jwtKeyById(state.set, due.id), 'retired', false);
    default:
      return due satisfies never;
  }
}

/** A new key, in the bundle at once; it signs nothing yet. */
export const prepareJwtKey: JwtKeyStep = (state) => {
  const waiting = waitingJwtKey(state.set);
  if (waiting === undefined) return prepared(state, {});
  throw wrongState(waiting, 'already', 'activate or abort it first');
};

/** It signs from now on. Throws {@link AuthorityError} `authority_not_propagated`. */
export function activateJwtKey(id: string, force: boolean): JwtKeyStep {
  return (state) => {
    const { set, nowMs, threshold } = state;
    const key = jwtKeyById(set, id);
    if (waitingJwtKey(set)?.id !== id) {
      throw wrongState(key, '; only a prepared or published one can be activated');
    }
    const evidence = state.propagationOf(id);
    const remedy = 'wait until they have it, evict nodes that are gone, or force it';
    if (!force && !hasArrived(evidence, threshold)) {
      throw new AuthorityError(
        'authority_not_propagated',
        `JWT key ${id} is ${formatPropagation(evidence, threshold)}`,
        { remedy },
      );
    }
    const settled = key.state === 'published' && settledMs(key) <= nowMs;
    if (!force && !settled && activeJwtKey(set) !== undefined) {
      const atMs = settledMs(key.state === 'published' ? key : { ...key, publishedAtMs: nowMs });
      throw new AuthorityError(
        'authority_not_propagated',
        `verifiers that poll the bundle have JWT key ${id} by ${new Date(atMs).toISOString()}`,
        { remedy },
      );
    }
    return activated(state, id, force);
  };
}

/** A drained key leaves the bundle. Throws {@link AuthorityError} `authority_in_use` while a token lives. */
export function retireJwtKey(id: string, force: boolean): JwtKeyStep {
  return (state) => {
    const key = jwtKeyById(state.set, id);
    checkDrained(key, state.nowMs, force);
    return dropped(state, key, 'retired', force);
  };
}

/** A key that has signed nothing leaves the bundle again. */
export function abortJwtKey(id: string): JwtKeyStep {
  return (state) => {
    const key = jwtKeyById(state.set, id);
    if (waitingJwtKey(state.set)?.id !== id) {
      throw wrongState(key, '; only a prepared or published one can be aborted');
    }
    if (activeJwtKey(state.set) === undefined) {
      throw wrongState(key, ', and nothing else is there to sign', 'wait until it signs');
    }
    return dropped(state, key, 'aborted', false);
  };
}

/**
 * It signs nothing from now on. A published key takes over in the same write; else the one that waits, or a
 * fresh one, as soon as the nodes have it: until then no token is minted, rather than one nobody can verify.
 */
export function taintJwtKey(id: string): JwtKeyStep {
  return (state) => {
    const { set, nowMs } = state;
    const key = jwtKeyById(set, id);
    if (key.taintedAtMs !== undefined) throw wrongState(key, ' and tainted already');
    const waiting = waitingJwtKey(set);
    if (waiting?.id === id) {
      throw wrongState(key, ': nothing stands under it', 'take it back with authority abort');
    }
    const tainted = withTaintedJwtKey(set, id, nowMs);
    const act = { act: 'tainted', key } as const;
    if (key.state !== 'active') return { next: tainted, acts: [act], key: jwtKeyById(tainted, id) };
    const after = { ...state, set: tainted };
    const takesOver = { isAutomatic: true, takesOverByMs: key.notAfterMs } as const;
    const change =
      waiting === undefined
        ? prepared(after, takesOver)
        : waiting.state === 'published'
          ? activated(after, waiting.id, false)
          : { next: withChangedJwtKey(tainted, waiting.id, takesOver), acts: [] };
    return { ...change, acts: [act, ...change.acts], key: jwtKeyById(change.next, id) };
  };
}

/** A tainted key leaves the bundle: no token under it is good any more. */
export function revokeJwtKey(id: string, force: boolean): JwtKeyStep {
  return (state) => {
    const key = jwtKeyById(state.set, id);
    if (key.taintedAtMs === undefined) {
      throw wrongState(key, ' and not tainted', 'taint it first, so that another one signs');
    }
    checkDrained(key, state.nowMs, force);
    return dropped(state, key, 'revoked', force);
  };
}

/** Throws {@link AuthorityError} `authority_unknown`. */
export function jwtKeyById({ keys }: JwtKeySet, id: string): JwtKey {
  const found = keys.find((key) => key.id === id);
  if (found !== undefined) return found;
  throw new AuthorityError('authority_unknown', `no JWT key has the id ${JSON.stringify(id)}`, {
    remedy: 'list them with `signet authority list`',
  });
}

const beginJwtKey: JwtKeyStep = (state) => {
  const { key, privateKey } = mint(state, { state: 'active', activatedAtMs: state.nowMs });
  return {
    next: withJwtKey(state.set, key, state.nowMs),
    made: [[key.id, privateKey]],
    acts: [
      { act: 'prepared', key },
      { act: 'activated', key },
    ],
    key,
  };
};

function prepared(state: JwtKeyStepState, fields: Partial<JwtKey>): JwtKeyChange {
  const { key, privateKey } = mint(state, fields);
  return {
    next: withJwtKey(state.set, key, state.nowMs),
    made: [[key.id, privateKey]],
    acts: [{ act: 'prepared', key }],
    key,
  };
}

function publishJwtKey(id: string): JwtKeyStep {
  return ({ set, nowMs, propagationOf }) => {
    const key = jwtKeyById(set, id);
    const next = withChangedJwtKey(set, id, { state: 'published', publishedAtMs: nowMs });
    const evidence = propagationOf(id);
    return { next, acts: [{ act: 'published', key, evidence }], key: jwtKeyById(next, id) };
  };
}

function activated(state: JwtKeyStepState, id: string, forced: boolean): JwtKeyChange {
  const next = withActivatedJwtKey(state.set, id, state.nowMs);
  const key = jwtKeyById(next, id);
  const evidence = state.propagationOf(id);
  return { next, acts: [{ act: 'activated', key, forced, evidence }], key };
}

function dropped(
  { set }: JwtKeyStepState,
  key: JwtKey,
  act: 'retired' | 'aborted' | 'revoked',
  forced: boolean,
): JwtKeyChange {
  return { next: withoutJwtKey(set, key.id), acts: [{ act, key, forced }], key };
}

function checkDrained(key: JwtKey, nowMs: number, force: boolean): void {
  if (key.state !== 'draining') throw wrongState(key, ', not draining', 'activate another first');
  const endMs = endOfTokensMs(key);
  if (force || endMs <= nowMs) return;
  throw new AuthorityError(
    'authority_in_use',
    `the last token under JWT key ${key.id} ends by ${new Date(endMs - 1000).toISOString()}, ` +
      `in ${formatDurationMs(endMs - nowMs)}`,
    { remedy: 'wait for that, or force it and break what still uses it' },
  );
}

function wrongState({ id, state }: JwtKey, why: string, remedy?: string): AuthorityError {
  const space = /^[a-z]/.test(why) ? ' ' : '';
  return new AuthorityError(
    'authority_state',
    `JWT key ${id} is ${state}${space}${why}`,
    remedy === undefined ? {} : { remedy },
  );
}

function mint(
  { nowMs, lifeMs, tokenMs }: JwtKeyStepState,
  fields: Partial<JwtKey>,
): { readonly key: JwtKey; readonly privateKey: KeyObject } {
  const { privateKey } = generateKeyPair('ec-p256');
  const publicKey = createPublicKey(privateKey);
  const key: JwtKey = {
    id: toHex(keyIdOf(publicKey)),
    state: 'prepared',
    publicKey,
    preparedAtMs: nowMs,
    tokenMsMax: tokenMs,
    notAfterMs: nowMs + lifeMs,
    ...fields,
  };
  return { key, privateKey };
}
