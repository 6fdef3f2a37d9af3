/** What the demo learns of the sidecars from their admin ports while traffic flows. */

import { z } from 'zod';
import { sleep, systemClock } from '../../core/index.ts';
import type { Sidecar } from './mesh.ts';

export interface SidecarView {
  readonly name: string;
  readonly pid: number;
  readonly serials: readonly string[];
  /** Set when the process has ended, which it must not. */
  readonly ended: string | undefined;
}

export interface Observer {
  views(): readonly SidecarView[];
  stop(): Promise<void>;
}

/** Polls each sidecar's `/certs` and keeps the serials in the order they came. */
export function observeSidecars(sidecars: readonly Sidecar[]): Observer {
  const stopping = new AbortController();
  const serials = new Map<string, string[]>(sidecars.map((sidecar) => [sidecar.name, []]));
  const watch = async (sidecar: Sidecar): Promise<void> => {
    const seen = serials.get(sidecar.name) ?? [];
    while (!stopping.signal.aborted) {
      const serial = await serialOf(sidecar);
      if (serial !== undefined && seen.at(-1) !== serial) seen.push(serial);
      await sleep(systemClock, pollMs, stopping.signal);
    }
  };
  const watches = sidecars.map(watch);
  return {
    views: () =>
      sidecars.map((sidecar) => ({
        name: sidecar.name,
        pid: sidecar.child.pid,
        serials: serials.get(sidecar.name) ?? [],
        ended: sidecar.child.ended(),
      })),
    async stop() {
      stopping.abort();
      await Promise.all(watches);
    },
  };
}

async function serialOf(sidecar: Sidecar): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${sidecar.adminPort}/certs`);
    const answer = certsSchema.safeParse(await response.json());
    return answer.success ? answer.data.identity.chain[0]?.serial : undefined;
  } catch (error) {
    // The sidecar having gone shows in `ended`; one missed poll means nothing.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

// Before the first certificate `identity` is null, which this does not match.
const certsSchema = z.object({
  identity: z.object({ chain: z.array(z.object({ serial: z.string() })) }),
});

const pollMs = 250;
