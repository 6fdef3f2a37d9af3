/** A pair of sidecars whose certificates change again and again while something goes through them. */

import { certificateSecret } from './fake-sds.ts';
import { type ProxyMesh, type TestSidecar, until } from './proxy-mesh.ts';
import type { TestPki } from './test-pki.ts';

export type SidecarPair = Awaited<ReturnType<ProxyMesh['pair']>>;

/** Gives the sidecar a new leaf and waits until it is in use. */
export async function rotate(sidecar: TestSidecar, pki: TestPki, id: string): Promise<void> {
  const before = sidecar.proxy.material.current()?.identity;
  sidecar.sds?.set(certificateSecret(await pki.issueLeaf({ id })));
  await until(() => sidecar.proxy.material.current()?.identity !== before);
}

/**
 * Repeats `work` until both leaves have changed so many times, each change while it runs, and answers how
 * often it ran.
 */
export async function whileRotating(
  mesh: ProxyMesh,
  { web, orders }: SidecarPair,
  work: () => Promise<void>,
  rotations = 5,
): Promise<number> {
  let rounds = 0;
  const stopping = new AbortController();
  const { signal } = stopping;
  const working = (async () => {
    while (!signal.aborted) {
      await work();
      rounds += 1;
    }
  })();
  const rotating = (async () => {
    for (let rotation = 0; rotation < rotations; rotation += 1) {
      const seen = rounds;
      await rotate(orders, mesh.pki, '/orders');
      await rotate(web, mesh.pki, '/web');
      // Work that began before and work that began after have both met this change.
      await until(() => rounds > seen + 1 || signal.aborted);
    }
  })();
  try {
    await Promise.race([working, rotating]);
  } finally {
    stopping.abort();
  }
  await Promise.all([working, rotating]);
  return rounds;
}
