/** A full root rotation under traffic, by the command an operator types, with the CA killed in the middle of it. */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type ControlPlane, signetScript } from './control-plane.ts';
import { DemoError, waitFor } from './wait.ts';

/** What `signet authority rotate` showed for it, from the audit log. */
export interface ProvenRotation {
  readonly rootId: string;
  /** Who trusted the new root when it began to sign. */
  readonly trustedBy: {
    readonly nodes: number;
    readonly nodesApplied: number;
    readonly subscribers: number;
    readonly acknowledged: number;
  };
  /** Indices of the records of its steps. */
  readonly records: readonly number[];
  /** The proof as the command printed it. */
  readonly proof: z.infer<typeof proofSchema>;
}

/** prepare → published by every sidecar's acknowledgement → activate → (CA killed and restarted) → retire. */
export async function rotateRoot(
  controlPlane: ControlPlane,
  sidecars: number,
  progress: (step: string) => void,
): Promise<ProvenRotation> {
  const { admin, directory } = controlPlane;
  // Each sidecar watches the trust bundle; fewer subscribers would be a proof of nothing.
  await waitFor('every sidecar watching the trust bundle', 20_000, async () => {
    const { authorities } = await admin.listAuthorities();
    const root = authorities.find(({ tier, state }) => tier === 'root' && state === 'active');
    return (root?.propagation?.subscribers ?? 0) >= sidecars ? true : undefined;
  });
  const args = ['authority', 'rotate', '-o', 'json', '--socket', `${directory}/ca-admin.sock`];
  progress(`$ signet ${args.slice(0, 4).join(' ')}`);
  const child = spawn(process.execPath, [signetScript, ...args], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => void child.once('close', resolve));
  let restarted: Promise<void> = Promise.resolve();
  let proven: ProvenRotation | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const said = lineSchema.parse(JSON.parse(line));
    if ('step' in said) {
      progress(sentenceOf(said));
      if (said.step !== 'activate' || said.state !== 'done') continue;
      restarted = restart(controlPlane, progress);
      // It is awaited below; a failure must not end the process before that.
      restarted.catch(() => child.kill('SIGTERM'));
    } else proven = provenBy(said);
  }
  const code = await ended;
  await restarted;
  if (proven !== undefined && code === 0) return proven;
  throw new DemoError(
    'demo_failed',
    `signet authority rotate ended with ${code}: ${errors.trim()}`,
  );
}

async function restart(
  controlPlane: ControlPlane,
  progress: (step: string) => void,
): Promise<void> {
  progress('CA killed (SIGKILL)');
  await controlPlane.restartCa();
  progress('CA back');
}

function provenBy({ rotated, proof }: z.infer<typeof proofLineSchema>): ProvenRotation {
  const activated = proof.steps.find(
    ({ step, authorityId }) => step === 'activated' && authorityId === rotated,
  );
  if (activated?.evidence === undefined) {
    throw new DemoError('demo_failed', `the proof says nothing of the activation of ${rotated}`);
  }
  const records = proof.steps.map(({ index }) => index);
  return { rootId: rotated, trustedBy: activated.evidence, records, proof };
}

function sentenceOf({ step, state, authorityId, detail }: z.infer<typeof stepLineSchema>): string {
  return `rotation: ${step} ${short(authorityId)} ${state === 'done' ? 'done' : 'waits'}: ${detail}`;
}

export function short(id: string): string {
  return id.slice(0, 8);
}

const stepLineSchema = z.object({
  step: z.string(),
  state: z.enum(['waiting', 'done']),
  authorityId: z.string(),
  detail: z.string(),
});
const proofSchema = z.object({
  steps: z.array(
    z.object({
      step: z.string(),
      index: z.number(),
      time: z.string(),
      authorityId: z.string(),
      evidence: z
        .object({
          nodes: z.number(),
          nodesApplied: z.number(),
          subscribers: z.number(),
          acknowledged: z.number(),
          threshold: z.number(),
        })
        .exactOptional(),
      lastLeafNotAfter: z.string().exactOptional(),
    }),
  ),
  checkpoint: z.object({ size: z.number(), rootHash: z.string(), note: z.string() }),
});
const proofLineSchema = z.object({ rotated: z.string(), proof: proofSchema });
const lineSchema = z.union([proofLineSchema, stepLineSchema]);
