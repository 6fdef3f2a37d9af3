/** A full root rotation under traffic, as `signet authority rotate` drives it, with the CA killed in the middle of it. */

import { systemClock } from '../../core/index.ts';
import { type RotationStep, rotateRoot as drive } from '../commands/authority-rotate.ts';
import type { ControlPlane } from './control-plane.ts';
import { DemoError, waitFor } from './wait.ts';

/** prepare → published by every sidecar's acknowledgement → activate → (CA killed and restarted) → retire. Resolves with the new root's id. */
export async function rotateRoot(
  controlPlane: ControlPlane,
  sidecars: number,
  progress: (step: string) => void,
): Promise<string> {
  const { admin } = controlPlane;
  // Each sidecar watches the trust bundle; fewer subscribers would be a proof of nothing.
  await waitFor('every sidecar watching the trust bundle', 20_000, async () => {
    const { authorities } = await admin.listAuthorities();
    const root = authorities.find(({ tier, state }) => tier === 'root' && state === 'active');
    return (root?.propagation?.subscribers ?? 0) >= sidecars ? true : undefined;
  });
  const stopped = new AbortController();
  let restarted: Promise<void> | undefined;
  const restart = async (): Promise<void> => {
    progress('CA killed (SIGKILL)');
    await controlPlane.restartCa();
    progress('CA back');
  };
  const outcome = await drive({
    admin,
    clock: systemClock,
    stopped: stopped.signal,
    force: false,
    onStep: (step) => {
      progress(sentenceOf(step));
      if (step.step === 'activate' && step.state === 'done') {
        restarted = restart();
        // It is awaited below; a failure must not end the process before that.
        restarted.catch(() => stopped.abort());
      }
    },
  });
  await restarted;
  if (outcome.kind === 'rotated') return outcome.rootId;
  throw new DemoError('demo_failed', 'the rotation was interrupted');
}

function sentenceOf({ step, state, authorityId, detail }: RotationStep): string {
  return `rotation: ${step} ${short(authorityId)} ${state === 'done' ? 'done' : 'waits'}: ${detail}`;
}

export function short(id: string): string {
  return id.slice(0, 8);
}
