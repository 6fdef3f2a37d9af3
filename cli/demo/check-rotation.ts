/** Whether the proof that a rotation printed holds against the log's files alone, as an auditor would check it. */

import { join } from 'node:path';
import { z } from 'zod';
import {
  formatProofBundle,
  proveConsistency,
  proveRecord,
  verifyProofBundle,
} from '../../ca/index.ts';
import { readText } from '../../core/index.ts';
import type { ProvenRotation } from './rotate-root.ts';

/** What does not hold, one sentence each; empty if the rotation is proven. */
export async function checkRotation(
  auditDirectory: string,
  { rootId, trustedBy, proof }: ProvenRotation,
  sidecars: number,
): Promise<readonly string[]> {
  const { nodes, nodesApplied, subscribers, acknowledged } = trustedBy;
  const place = { directory: auditDirectory };
  const verifierKey = (await readText(join(auditDirectory, 'verifier.pub'))).trim();
  const faults: string[] = [];
  if (acknowledged < sidecars || acknowledged !== subscribers || nodesApplied !== nodes) {
    faults.push(`root ${rootId} signed when ${acknowledged} of ${subscribers} sidecars trusted it`);
  }
  const taken = new Set(proof.steps.map(({ step }) => step));
  for (const step of ['prepared', 'published', 'activated', 'retired']) {
    if (!taken.has(step)) faults.push(`the proof has no record of the step ${step}`);
  }
  for (const { step, index, authorityId } of proof.steps) {
    const verdict = verifyProofBundle(
      formatProofBundle(await proveRecord(place, index)),
      verifierKey,
    );
    if (verdict.kind === 'refused') faults.push(`record ${index}: ${verdict.detail}`);
    else if (!recordSchema(step, authorityId).safeParse(verdict.record).success) {
      faults.push(`record ${index} is not that ${authorityId} was ${step}`);
    }
  }
  const consistency = await proveConsistency(place, proof.checkpoint.note);
  if (consistency.kind === 'broken') faults.push(`its checkpoint: ${consistency.detail}`);
  return faults;
}

function recordSchema(step: string, keyId: string) {
  return z.object({
    type: z.literal(`authority.${step}`),
    authority: z.object({ keyId: z.literal(keyId) }),
  });
}
