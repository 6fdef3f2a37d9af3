/** A full root rotation through the admin API, with the CA killed in the middle of it. */

import type { AuthorityView } from '../../api/index.ts';
import type { ControlPlane } from './control-plane.ts';
import { DemoError, waitFor } from './wait.ts';

/** prepare → seen by every SDS client → activate → (CA killed and restarted) → retire. Resolves with the new root's id. */
export async function rotateRoot(
  controlPlane: ControlPlane,
  sidecars: number,
  progress: (step: string) => void,
): Promise<string> {
  const { admin } = controlPlane;
  const rootsOf = async (): Promise<readonly AuthorityView[]> =>
    (await admin.listAuthorities()).authorities.filter((authority) => authority.tier === 'root');
  const old = (await rootsOf()).find((root) => root.state === 'active');
  if (old === undefined) throw new DemoError('demo_failed', 'no active root');

  const next = await admin.prepareAuthority();
  progress(`root ${short(next.id)} prepared and published`);
  const seen = await waitFor('every sidecar trusting the new root', 20_000, async () => {
    const root = (await rootsOf()).find((candidate) => candidate.id === next.id);
    const {
      nodes = 0,
      nodesApplied = -1,
      subscribers = 0,
      acknowledged = -1,
    } = root?.propagation ?? {};
    // Each sidecar watches the trust bundle; fewer subscribers would be a proof of nothing.
    const all =
      nodes > 0 &&
      nodesApplied === nodes &&
      subscribers >= sidecars &&
      acknowledged === subscribers;
    return all ? `${acknowledged} of ${subscribers} sidecars` : undefined;
  });
  progress(`root ${short(next.id)} acknowledged by ${seen}`);
  await admin.activateAuthority(next.id, false);
  progress(`root ${short(next.id)} active, ${short(old.id)} draining`);

  progress('CA killed (SIGKILL)');
  await controlPlane.restartCa();
  progress('CA back');

  await waitFor('the old root having no live certificate', 60_000, async () => {
    await admin.retireAuthority(old.id, false);
    return true;
  });
  progress(`root ${short(old.id)} retired`);
  return next.id;
}

export function short(id: string): string {
  return id.slice(0, 8);
}
