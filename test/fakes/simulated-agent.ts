/** The nodes of a simulated mesh: slow, away and lying ones among the honest, each from the chance of one seed. */

import type { NodeConnection } from '../../ca/node-api/connected-nodes.ts';
import { parseSpiffeId } from '../../spiffe/index.ts';

/**
 * Who lies takes up nothing. A boaster says that it and its sidecars have everything, many times over; a
 * forger acknowledges what was never sent to it; a denier never acknowledges anything, until its operator
 * shuts it out. A crowd has more sidecars than there are, all content; a staller as many, none content.
 */
type Kind = 'honest' | 'boaster' | 'forger' | 'denier' | 'crowd' | 'staller';
const liars: readonly Kind[] = ['boaster', 'forger', 'denier', 'crowd', 'staller'];
export const refusing: ReadonlySet<Kind> = new Set(['forger', 'denier', 'staller']);

interface Leaf {
  readonly rootId: string;
  readonly endMs: number;
}

/** What is on its way to sidecars: a bundle's keys, and the certificate to present. */
interface SidecarUpdate {
  readonly atMs: number;
  readonly ids: ReadonlySet<string>;
  readonly leaf: Leaf | undefined;
}

export interface SimulatedAgent {
  readonly id: ReturnType<typeof parseSpiffeId>;
  readonly kind: Kind;
  readonly delayMs: number;
  /** How much later than the agent its sidecars take something up. */
  readonly sidecarDelayMs: number;
  readonly awayFromMs: number;
  readonly awayUntilMs: number;
  connection: NodeConnection | undefined;
  applied: ReadonlySet<string>;
  pending: {
    readonly atMs: number;
    readonly revision: bigint;
    readonly ids: ReadonlySet<string>;
  }[];
  appliedRevision: bigint;
  sentSequence: bigint;
  leaf: Leaf | undefined;
  /** What its sidecars trust and present. */
  trusted: ReadonlySet<string>;
  presented: Leaf | undefined;
  updates: SidecarUpdate[];
  /** It came with no good certificate, and was waited for by nobody: what it was sent it has not taken up yet. */
  isNew: boolean;
  isShutOut: boolean;
}

export function simulatedAgents(
  random: () => number,
  { startMs, tickMs }: { readonly startMs: number; readonly tickMs: number },
): SimulatedAgent[] {
  const second = 1000;
  return Array.from({ length: 3 + Math.floor(random() * 9) }, (_, index) => {
    const awayFromMs = startMs + 500 * second + random() * 200 * second;
    return {
      id: parseSpiffeId(`spiffe://mesh.test/signet/node/join-token/n${index}`),
      kind:
        index > 0 && random() < 0.3
          ? (liars[Math.floor(random() * liars.length)] ?? 'boaster')
          : 'honest',
      // From at once to many pushes later.
      delayMs: random() < 0.3 ? random() * 200 * second : random() * tickMs,
      awayFromMs: random() < 0.5 ? awayFromMs : Number.POSITIVE_INFINITY,
      awayUntilMs:
        awayFromMs + (random() < 0.3 ? Number.POSITIVE_INFINITY : random() * 200 * second),
      sidecarDelayMs: random() < 0.3 ? random() * 60 * second : random() * tickMs,
      connection: undefined,
      applied: new Set<string>(),
      pending: [],
      appliedRevision: 0n,
      sentSequence: -1n,
      leaf: undefined,
      trusted: new Set<string>(),
      presented: undefined,
      updates: [],
      isNew: true,
      isShutOut: false,
    };
  });
}

/** Of agents, and of their sidecars, who would refuse whose certificate. */
export function refusalsAmong(agents: readonly SimulatedAgent[], nowMs: number): string[] {
  const live = liveAmong(agents, nowMs);
  const shown = live.flatMap(({ id, leaf, presented }) =>
    [leaf, presented].flatMap((each) => (isAlive(each, nowMs) ? [{ id, ...each }] : [])),
  );
  const refusedBy = (who: string, trusted: ReadonlySet<string>): string[] =>
    shown.filter(({ rootId }) => !trusted.has(rootId)).map(({ id }) => `${who} refuses ${id}`);
  return live.flatMap(({ id, applied, trusted, presented }) => [
    ...refusedBy(id, applied),
    // Sidecars that have nothing to present yet are not in service.
    ...(isAlive(presented, nowMs) ? refusedBy(`a sidecar of ${id}`, trusted) : []),
  ]);
}

/** Who would refuse a token: `tokens` says of each key when the last one under it ends. */
export function tokenRefusals(
  agents: readonly SimulatedAgent[],
  tokens: ReadonlyMap<string, number>,
  polled: ReadonlySet<string>,
  nowMs: number,
): string[] {
  return [...tokens]
    .filter(([, endMs]) => endMs >= nowMs)
    .flatMap(([kid]) => [
      ...liveAmong(agents, nowMs)
        .filter(({ isNew, applied }) => !isNew && !applied.has(kid))
        .map(({ id }) => `${id} refuses a token`),
      ...(polled.has(kid) ? [] : ['whoever polls refuses a token']),
    ]);
}

function liveAmong(agents: readonly SimulatedAgent[], nowMs: number): readonly SimulatedAgent[] {
  return agents.filter(({ kind, leaf }) => kind === 'honest' && isAlive(leaf, nowMs));
}

function isAlive(leaf: Leaf | undefined, nowMs: number): leaf is Leaf {
  return leaf !== undefined && leaf.endMs >= nowMs;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
