/**
 * The steps for when something is wrong with an authority: take a root back that has signed nothing,
 * replace whatever stands under a key that is not to be relied on, and drop that key.
 */

import type { Actor } from '../audit/event.ts';
import type { Authority, AuthoritySet } from './authority.ts';
import { AuthorityError } from './authority-error.ts';
import {
  activateStep,
  type Change,
  recordAuthority,
  renewStep,
  type Step,
  type StepDeps,
  type StepState,
} from './authority-step.ts';
import { checkAbort, checkRetirement, withAuthority, withRetired } from './rotation.ts';
import { authorityById, waitingRoot } from './slot.ts';

/** A root that has signed nothing leaves the bundle again. */
export function abortStep(actor: Actor, id: string): Step {
  return async (deps, { set }) => {
    const authority = checkAbort(set, id);
    await recordAuthority(deps, actor, 'authority.aborted', authority);
    return { next: withRetired(set, id, deps.clock.wallMs()), minted: [], id };
  };
}

/**
 * Nothing may go on standing under it. What signs now is replaced in the same write: an issuing authority
 * by a fresh one, a root by the published one that waits, so that nobody is without a valid certificate.
 */
export function taintStep(actor: Actor, id: string): Step {
  return async (deps, state) => {
    const authority = checkTaint(state.set, id);
    await recordAuthority(deps, actor, 'authority.tainted', authority);
    const { next, minted } = await replaced(deps, state, actor, authority);
    const taintedAtMs = deps.clock.wallMs();
    return { next: withAuthority(next, id, { taintedAtMs }), minted, id };
  };
}

/** A tainted authority is trusted no longer; its key is destroyed. */
export function revokeStep(actor: Actor, id: string, force: boolean): Step {
  return async (deps, { set }) => {
    const nowMs = deps.clock.wallMs();
    const authority = checkRevocation(set, id, nowMs, force);
    await recordAuthority(deps, actor, 'authority.revoked', authority, { force });
    return { next: withRetired(set, id, nowMs), minted: [], id };
  };
}

async function replaced(
  deps: StepDeps,
  state: StepState,
  actor: Actor,
  authority: Authority,
): Promise<Pick<Change, 'next' | 'minted'>> {
  if (authority.state !== 'active') return { next: state.set, minted: [] };
  if (authority.tier === 'issuing') return renewStep(actor)(deps, state);
  const successor = waitingRoot(state.set);
  // That it has arrived was proved when it was published; a compromise does not wait for stragglers.
  return activateStep(actor, successor?.id ?? '', undefined, false)(deps, state);
}

function checkTaint(set: AuthoritySet, id: string): Authority {
  const authority = authorityById(set, id);
  const { tier, state } = authority;
  if (authority.taintedAtMs !== undefined) {
    throw new AuthorityError('authority_state', `${tier} authority ${id} is tainted already`);
  }
  if (state === 'retired') {
    throw new AuthorityError('authority_state', `${tier} authority ${id} is retired`);
  }
  if (waitingRoot(set)?.id === id) {
    throw new AuthorityError('authority_state', `root ${id} is ${state}: nothing stands under it`, {
      remedy: 'take it out of the bundle with `signet authority abort`',
    });
  }
  if (tier === 'root' && state === 'active' && waitingRoot(set)?.state !== 'published') {
    throw new AuthorityError(
      'authority_state',
      `root ${id} signs, and no published root waits to take over`,
      { remedy: 'run `signet authority prepare`, wait until it is published, and taint then' },
    );
  }
  return authority;
}

function checkRevocation(set: AuthoritySet, id: string, nowMs: number, force: boolean): Authority {
  const authority = authorityById(set, id);
  if (authority.taintedAtMs === undefined) {
    throw new AuthorityError(
      'authority_state',
      `${authority.tier} authority ${id} is not tainted`,
      { remedy: 'taint it first, so that everything under it is made anew' },
    );
  }
  return checkRetirement(set, id, nowMs, force);
}
