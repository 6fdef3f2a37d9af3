/**
 * Drives a rotation, of the root or of the JWT key, from wherever it stands to its end: what is done is seen in the CA's own states,
 * never remembered here, so that an interrupted run is gone on with by running it again.
 */

import type { AdminClient, AuthorityView } from '../../api/index.ts';
import { AdminError } from '../../api/index.ts';
import { type Clock, CodedError, formatDurationMs, sleep } from '../../core/index.ts';
import { proveRotation, type RotationProof, sidecarsOf } from './rotation-proof.ts';

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
    | 'queryAudit'
    | 'auditCheckpoint'
  >;
  /** What to rotate: the root, unless it says otherwise. */
  readonly tier?: 'root' | 'jwt';
  readonly clock: Clock;
  readonly stopped: AbortSignal;
  /** Activates at once, whatever the evidence says. */
  readonly force: boolean;
  readonly onStep: (step: RotationStep) => void;
}

export type RotationOutcome =
  | { readonly kind: 'rotated'; readonly id: string; readonly proof: RotationProof }
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
  readonly #tier: 'root' | 'jwt';
  #nextId: string | undefined;
  /** Those that drained at the last look: one that is gone now was retired by the CA itself. */
  #draining: readonly AuthorityView[] = [];
  /** The newest news of each step. */
  readonly #told = new Map<RotationStep['step'], string>();
  #refusedAtMs: number | undefined;
  #unreachableSinceMs: number | undefined;

  constructor(options: RotateOptions) {
    this.#options = options;
    this.#tier = options.tier ?? 'root';
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
    const roots = authorities.filter(({ tier }) => tier === this.#tier);
    const waiting = roots.find(({ state }) => state === 'prepared' || state === 'published');
    const active = roots.find(({ state }) => state === 'active');
    const draining = roots.filter(({ state }) => state === 'draining');
    if (waiting !== undefined) {
      // It may have drained, and be gone, before the next look: a CA can be away for a while.
      this.#draining = active === undefined ? draining : [...draining, active];
      return this.#bringIn(waiting);
    }
    if (this.#nextId !== undefined && active?.id !== this.#nextId) {
      throw new RotateError('rotation_gone', `${this.#nextId} was taken back meanwhile`);
    }
    this.#tellRetired(draining);
    if (active !== undefined && draining.length > 0) return this.#retire(active, draining);
    if (this.#nextId !== undefined && active !== undefined) {
      const family = this.#tier === 'jwt' ? 'jwt_key' : 'authority';
      const proof = await proveRotation(this.#options, active, family);
      return { kind: 'rotated', id: active.id, proof };
    }
    const next = await admin.prepareAuthority(this.#tier);
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
      // A JWT key has its deadline at hand: the end of the one that signs, when it takes over by itself.
      if (this.#tier === 'jwt') return undefined;
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
    const { admin, force, clock } = this.#options;
    // Each refusal is a record of the audit log: it is not asked for again at once.
    const sinceMs = clock.monotonicMs() - (this.#refusedAtMs ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < refusedPauseMs) return undefined;
    try {
      return await admin.activateAuthority(waiting.id, force);
    } catch (error) {
      // Somebody came since who does not have it yet, or the CA activated it by itself.
      if (!(error instanceof AdminError) || !passing.has(error.code)) throw error;
      this.#refusedAtMs = clock.monotonicMs();
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
        this.#tell(
          'retire',
          'waiting',
          old,
          `the last ${this.#tier === 'jwt' ? 'token' : 'certificate'} under it ends by ${at}`,
        );
        continue;
      }
      try {
        this.#gone(await admin.retireAuthority(old.id, false));
      } catch (error) {
        if (!(error instanceof AdminError) || !passing.has(error.code)) throw error;
        if (error.code === 'clock_ahead') this.#tell('retire', 'waiting', old, error.message);
      }
    }
    return undefined;
  }

  #tellRetired(draining: readonly AuthorityView[]): void {
    const left = new Set(draining.map(({ id }) => id));
    for (const old of this.#draining.filter(({ id }) => !left.has(id))) this.#gone(old);
    this.#draining = draining;
  }

  #gone(old: AuthorityView): void {
    this.#draining = this.#draining.filter(({ id }) => id !== old.id);
    this.#tell('retire', 'done', old, 'out of the bundle, its key destroyed');
  }

  /** Each piece of news once. */
  #tell(
    step: RotationStep['step'],
    state: RotationStep['state'],
    { id, propagation }: AuthorityView,
    detail: string,
  ): void {
    const news = `${state} ${id} ${detail}`;
    if (news === this.#told.get(step)) return;
    this.#told.set(step, news);
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

function progressOf({ tier, propagation }: AuthorityView): string {
  if (propagation === undefined) return 'nobody has reported yet';
  const { nodes, nodesApplied } = propagation;
  // SDS carries no JWT key, so its clients are not asked.
  if (tier === 'jwt') return `${nodesApplied} of ${nodes} nodes`;
  return `${sidecarsOf(propagation)}, ${nodesApplied} of ${nodes} nodes`;
}

// Refusals that pass by themselves.
const passing: ReadonlySet<string> = new Set([
  'authority_not_propagated',
  'authority_in_use',
  'authority_state',
  'authority_unknown',
  'clock_ahead',
  'clock_backwards',
]);
const pollMs = 250;
const refusedPauseMs = 2000;
// A CA that is restarted by its supervisor is back long before; the rotation itself goes on there.
const restartMsMax = 60_000;
