/** A store with as many entries as a large mesh has, written through the registry like any other. */

import { createRegistry, openLevelStore } from '../../ca/index.ts';
import { silentLogger, systemClock, systemRandom } from '../../core/index.ts';
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../spiffe/index.ts';
import { BenchError } from '../bench-error.ts';

export const log = silentLogger;
export const trustDomain = parseTrustDomain('mesh.test');
export const nodes = 1000;

/** The ID of one of the {@link nodes} nodes. */
export function nodeIdAt(at: number): SpiffeId {
  return parseSpiffeId(`spiffe://mesh.test/signet/node/x509pop/machine-${at % nodes}`);
}

/**
 * Adds nodes and entries to the store in `directory`. Nine of ten entries are for one node each, the rest
 * for a pool of a hundred nodes: with 100,000 entries a node may serve 1,090.
 */
export async function fillStore(directory: string, entries: number): Promise<void> {
  const store = await openLevelStore({ directory });
  try {
    const registry = createRegistry({
      store,
      trustDomain,
      clock: systemClock,
      random: systemRandom,
    });
    const nowMs = systemClock.wallMs();
    await inLanes(nodes, (at) =>
      registry.putNode({
        id: nodeIdAt(at),
        attestor: 'x509pop',
        selectors: [],
        aliasId: poolIdAt(at),
        serial: (at + 1).toString(16),
        notAfterMs: nowMs + dayMs,
        attestedAtMs: nowMs,
      }),
    );
    await inLanes(entries, (at) =>
      registry.createEntry({
        spiffeId: `spiffe://mesh.test/ns/team-${at % 97}/sa/service-${at}`,
        parentId: at % 10 === 0 ? poolIdAt(at / 10) : nodeIdAt(Math.floor(at / 10) + (at % 10)),
        selectors: [`k8s:ns:team-${at % 97}`, `k8s:sa:service-${at}`],
        dnsNames: [`service-${at}.team-${at % 97}.svc`],
      }),
    );
  } finally {
    await store.close();
  }
}

function poolIdAt(at: number): SpiffeId {
  return parseSpiffeId(`spiffe://mesh.test/pool/${at % pools}`);
}

/** Many at once, so that they share the store's writes. */
async function inLanes(count: number, run: (at: number) => Promise<unknown>): Promise<void> {
  let at = 0;
  const lane = async (): Promise<void> => {
    while (at < count) {
      const mine = at;
      at += 1;
      await run(mine);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  if (at < count) throw new BenchError('bench_answer', 'the store took not all entries');
}

const pools = 10;
const lanes = 256;
const dayMs = 86_400_000;
