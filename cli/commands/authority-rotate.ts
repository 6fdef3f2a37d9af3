/**
 * Drives a root rotation from wherever it stands to its end: what is done is seen in the CA's own states,
 * never remembered here, so that an interrupted run is gone on with by running it again.
 */

import type { AdminClient, AuthorityView } from '../../api/index.ts';
import { AdminError } from '../../api/index.ts';
import { type Clock, CodedError, formatDurationMs, sleep } from '../../core/index.ts';

export interface RotationStep {
  readonly time: string;
  readonly step: 'prepare' | 'publish' | 'activate' | 'retire';
  readonly state: 'waiting' | 'done';
  readonly authorityId: string;
  readonly detail: string;
  readonly propagation?: NonNullable<AuthorityView['propagation']>;
}

export interface RotateOptions {
  readonly admin: Pick<
    AdminClient,
    | 'listAuthorities'
    | 'prepareAuthority'
    | 'activateAuthority'
    | 'retireAuthority'
    | 'planRotation'
  >;
  readonly clock: Clock;
  readonly stopped: AbortSignal;
  /** Activates at once, whatever the evidence says. */
  readonly force: boolean;
  readonly onStep: (step: RotationStep) => void;
}

export type RotationOutcome =
  | { readonly kind: 'rotated'; readonly rootId: string }
  | { readonly kind: 'interrupted' };

export class RotateError extends CodedError<'rotation_overdue' | 'rotation_gone'> {
  override readonly name = 'RotateError';
  override readonly kind = 'failed_precondition';
}

/** Throws {@link RotateError} when publication is overdue, or AdminError. */
export async function rotateRoot(options: RotateOptions): Promise<RotationOutcome> {
  const run = new Run(options);
  while (!options.stopped.aborted) {
    const outcome = await run.look();
    if (outcome !== undefined) return outcome;
    await sleep(options.clock, pollMs, options.stopped);
  }
  return { kind: 'interrupted' };
}

class Run {
  readonly #options: RotateOptions;
  #nextId: string | undefined;
  #told = '';
  #unreachableSinceMs: number | undefined;

  constructor(options: RotateOptions) {
    this.#options = options;
  }

  /** One look and at most one step. An unreachable CA may be restarting: it is waited for. */
  async look(): Promise<RotationOutcome | undefined> {
    try {
      const outcome = await this.#step();
      this.#unreachableSinceMs = undefined;
      return outcome;
    } catch (error) {
      if (!(error instanceof AdminError) || error.code !== 'admin_unreachable') throw error;
      // Never reached at all: that is a wrong address, and no restart.
      if (this.#nextId === undefined) throw error;
      const nowMs = this.#options.clock.monotonicMs();
      this.#unreachableSinceMs ??= nowMs;
      if (nowMs - this.#unreachableSinceMs > restartMsMax) throw error;
      return undefined;
    }
  }

  async #step(): Promise<RotationOutcome | undefined> {
    const { admin } = this.#options;
    const { authorities } = await admin.listAuthorities();
    const roots = authorities.filter(({ tier }) => tier === 'root');
    const waiting = roots.find(({ state }) => state === 'prepared' || state === 'published');
    if (waiting !== undefined) return this.#bringIn(waiting);
    const active = roots.find(({ state }) => state === 'active');
    const draining = roots.filter(({ state }) => state === 'draining');
    if (this.#nextId !== undefined && active?.id !== this.#nextId) {
      throw new RotateError('rotation_gone', `root ${this.#nextId} was taken back meanwhile`);
    }
    if (active !== undefined && draining.length > 0) return this.#retire(active, draining);
    if (this.#nextId !== undefined) return { kind: 'rotated', rootId: this.#nextId };
    const next = await admin.prepareAuthority();
    this.#nextId = next.id;
    this.#tell('prepare', 'done', next, 'in the bundle, pushed to every node');
    return undefined;
  }

  async #bringIn(waiting: AuthorityView): Promise<undefined> {
    const { admin, force, clock } = this.#options;
    if (this.#nextId === undefined) this.#tell('prepare', 'done', waiting, 'going on with it');
    this.#nextId = waiting.id;
    if (waiting.state === 'prepared' && !force) {
      this.#tell('publish', 'waiting', waiting, progressOf(waiting));
      const { deadlineAt } = await admin.planRotation();
      if (deadlineAt === undefined || Date.parse(deadlineAt) > clock.wallMs()) return undefined;
      throw new RotateError(
        'rotation_overdue',
        `root ${waiting.id} is not published by its deadline: ${progressOf(waiting)}`,
        {
          remedy:
            'see `signet node list`, evict nodes that are gone, and run this again; or abort the root; or --force and strand the rest',
        },
      );
    }
    if (waiting.state === 'published') this.#tell('publish', 'done', waiting, progressOf(waiting));
    const active = await this.#activate(waiting);
    if (active !== undefined) this.#tell('activate', 'done', active, 'it signs from now on');
    return undefined;
  }

  async #activate(waiting: AuthorityView): Promise<AuthorityView | undefined> {
    const { admin, force } = this.#options;
    try {
      return await admin.activateAuthority(waiting.id, force);
    } catch (error) {
      // Somebody came since who does not have it yet, or the CA activated it by itself.
      if (!(error instanceof AdminError) || !passing.has(error.code)) throw error;
      this.#tell('activate', 'waiting', waiting, error.message);
      return undefined;
    }
  }

  async #retire(active: AuthorityView, draining: readonly AuthorityView[]): Promise<undefined> {
    const { admin, clock } = this.#options;
    this.#nextId = active.id;
    for (const old of draining) {
      const endMs = Date.parse(old.lastLeafNotAfter ?? '1970-01-01T00:00:00Z') + 1000;
      if (endMs > clock.wallMs()) {
        const at = new Date(endMs).toISOString();
        this.#tell('retire', 'waiting', old, `the last certificate under it ends by ${at}`);
        continue;
      }
      try {
        const retired = await admin.retireAuthority(old.id, false);
        this.#tell('retire', 'done', retired, 'out of the bundle, its key destroyed');
      } catch (error) {
        if (!(error instanceof AdminError) || !passing.has(error.code)) throw error;
      }
    }
    return undefined;
  }

  /** Each piece of news once. */
  #tell(
    step: RotationStep['step'],
    state: RotationStep['state'],
    { id, propagation }: AuthorityView,
    detail: string,
  ): void {
    const news = `${step} ${state} ${id} ${detail}`;
    if (news === this.#told) return;
    this.#told = news;
    const { clock, onStep } = this.#options;
    onStep({
      time: new Date(clock.wallMs()).toISOString(),
      step,
      state,
      authorityId: id,
      detail,
      ...(propagation === undefined ? {} : { propagation }),
    });
  }
}

/** A step as a line for people. */
export function formatStep({ time, step, state, authorityId, detail }: RotationStep): string {
  const mark = state === 'done' ? 'done   ' : 'waiting';
  return `${time.slice(11, 19)}  ${step.padEnd(8)}  ${mark}  ${authorityId.slice(0, 8)}  ${detail}`;
}

/** How long was taken, for the last line. */
export function formatTook(beginMs: number, endMs: number): string {
  return formatDurationMs(Math.round((endMs - beginMs) / 1000) * 1000);
}

function progressOf({ propagation }: AuthorityView): string {
  if (propagation === undefined) return 'nobody has reported yet';
  const { nodes, nodesApplied, subscribers, acknowledged } = propagation;
  return `${acknowledged} of ${subscribers} sidecars, ${nodesApplied} of ${nodes} nodes`;
}

// Refusals that pass by themselves.
const passing: ReadonlySet<string> = new Set([
  'authority_not_propagated',
  'authority_in_use',
  'authority_state',
]);
const pollMs = 250;
// A CA that is restarted by its supervisor is back long before; the rotation itself goes on there.
const restartMsMax = 60_000;
