/**
 * What a rotation rested on, read back from the audit log: each step's record with its index, who had
 * acknowledged the key when it signed, and a checkpoint that covers them all. Whoever doubts it asks
 * `signet audit prove` for any of the indices, or recomputes the counts from the records.
 */

import { z } from 'zod';
import type { AdminClient, AuditRecordView } from '../../api/index.ts';
import { type Clock, CodedError, sleep } from '../../core/index.ts';
import { formatTable } from '../output.ts';

const evidenceSchema = z.object({
  nodes: z.number(),
  nodesApplied: z.number(),
  subscribers: z.number(),
  acknowledged: z.number(),
  sidecarShare: z.number().optional(),
  threshold: z.number(),
});

const stepSchema = z.object({
  index: z.number(),
  time: z.string(),
  type: z.string(),
  authority: z.object({ keyId: z.string() }),
  forced: z.boolean().optional(),
  evidence: evidenceSchema.optional(),
  lastLeafNotAfter: z.string().optional(),
});

/** One step as it was recorded. */
export interface ProvenStep {
  readonly step: string;
  /** Its place in the audit log. */
  readonly index: number;
  readonly time: string;
  readonly authorityId: string;
  readonly forced?: boolean;
  readonly evidence?: z.infer<typeof evidenceSchema>;
  /** Of the key that was retired. */
  readonly lastLeafNotAfter?: string;
}

export interface RotationProof {
  readonly steps: readonly ProvenStep[];
  /** Signed by the log after the last of the steps. */
  readonly checkpoint: { readonly size: number; readonly rootHash: string; readonly note: string };
}

export class RotationProofError extends CodedError<'rotation_unproven'> {
  override readonly name = 'RotationProofError';
  override readonly kind = 'unavailable';
}

/** Throws {@link RotationProofError} if no checkpoint comes to cover the steps, or AdminError. */
export async function proveRotation(
  {
    admin,
    clock,
  }: {
    readonly admin: Pick<AdminClient, 'listAuthorities' | 'queryAudit' | 'auditCheckpoint'>;
    readonly clock: Clock;
  },
  next: { readonly id: string; readonly preparedAt: string },
  family: 'authority' | 'jwt_key',
): Promise<RotationProof> {
  // The record is written before the step: a little before the time that the authority carries.
  const from = new Date(Date.parse(next.preparedAt) - recordedBeforeMs).toISOString();
  const records: AuditRecordView[] = [];
  for (let after: number | undefined; ; ) {
    const page = await admin.queryAudit({ type: `${family}.*`, from, after, limit: 1000 });
    records.push(...page.records);
    if (page.next === undefined) break;
    after = page.next;
  }
  const peers = (await admin.listAuthorities()).authorities;
  const others = new Set(peers.filter(({ tier }) => tier === 'issuing').map(({ id }) => id));
  const steps = stepsOf(records, next.id, others);
  const lastIndex = Math.max(...steps.map(({ index }) => index));
  for (let look = 0; look < looksMax; look += 1) {
    const { size, rootHash, note } = await admin.auditCheckpoint();
    if (size > lastIndex) return { steps, checkpoint: { size, rootHash, note } };
    await sleep(clock, lookMs);
  }
  throw new RotationProofError(
    'rotation_unproven',
    `the rotation is done, but no checkpoint covers record ${lastIndex} yet`,
    { remedy: 'look with `signet audit query --type authority.*` and `signet audit checkpoint`' },
  );
}

/** The steps of the new key, and those that dropped others of its kind after it began to sign. */
function stepsOf(
  records: readonly AuditRecordView[],
  nextId: string,
  others: ReadonlySet<string>,
): ProvenStep[] {
  const read = records.flatMap((record) => {
    const parsed = stepSchema.safeParse(record);
    return parsed.success ? [parsed.data] : [];
  });
  const activated = read.findLast(
    ({ type, authority }) => type.endsWith('.activated') && authority.keyId === nextId,
  );
  const ofRotation = read
    .filter(({ authority }) => !others.has(authority.keyId))
    .filter(
      ({ type, authority, index }) =>
        authority.keyId === nextId ||
        (activated !== undefined && index > activated.index && type.endsWith('.retired')),
    );
  return (
    ofRotation
      // A step that a kill kept from being stored was taken and recorded again: the last one is the deed.
      .filter(
        ({ type, authority }, place) =>
          !ofRotation
            .slice(place + 1)
            .some((later) => later.type === type && later.authority.keyId === authority.keyId),
      )
      .map(({ type, authority, ...record }) => ({
        step: type.slice(type.indexOf('.') + 1),
        index: record.index,
        time: record.time,
        authorityId: authority.keyId,
        ...(record.forced === undefined ? {} : { forced: record.forced }),
        ...(record.evidence === undefined ? {} : { evidence: record.evidence }),
        ...(record.lastLeafNotAfter === undefined
          ? {}
          : { lastLeafNotAfter: record.lastLeafNotAfter }),
      }))
  );
}

/** For people: a line a record, the checkpoint, and how to check it without the CA. */
export function formatProof({ steps, checkpoint }: RotationProof): string {
  const indices = steps.map(({ index }) => index).join(' ');
  return [
    'Proof, as the audit log has it:\n',
    formatTable(
      ['RECORD', 'TIME', 'STEP', 'KEY', 'WHAT IT RESTED ON'],
      steps.map((step) => [
        String(step.index),
        step.time.slice(11, 23),
        step.step,
        step.authorityId.slice(0, 8),
        groundsOf(step),
      ]),
      'no record was found',
    ),
    `Checkpoint: ${checkpoint.size} records, root hash ${checkpoint.rootHash}\n`,
    `Check it without the CA: signet audit prove INDEX --data DIR, for ${indices}\n`,
  ].join('');
}

/** The counts, and the share that was judged where they would say another: each node weighs the same. */
export function sidecarsOf({
  subscribers,
  acknowledged,
  sidecarShare,
}: {
  readonly subscribers: number;
  readonly acknowledged: number;
  readonly sidecarShare?: number | undefined;
}): string {
  const counts = `${acknowledged} of ${subscribers} sidecars`;
  const share = percent(sidecarShare ?? 1);
  const isSaid = sidecarShare === undefined || share === percent(acknowledged / subscribers);
  return isSaid ? counts : `${counts} (${share} node by node)`;
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

function groundsOf({ step, forced, evidence, lastLeafNotAfter }: ProvenStep): string {
  const grounds = [
    forced === true ? 'forced by the operator' : '',
    evidence === undefined || step === 'prepared'
      ? ''
      : `trusted by ${evidence.nodesApplied} of ${evidence.nodes} nodes` +
        (evidence.subscribers === 0 ? '' : ` and ${sidecarsOf(evidence)}`) +
        `; ${percent(evidence.threshold)} were asked for`,
    step !== 'retired' || lastLeafNotAfter === undefined
      ? ''
      : `the last one under it ended at ${lastLeafNotAfter.slice(11, 19)}`,
  ].filter((text) => text !== '');
  return grounds.join('; ') || '-';
}

const recordedBeforeMs = 5000;
// Checkpoints follow records within milliseconds; a slow disk may take a while.
const looksMax = 50;
const lookMs = 100;
