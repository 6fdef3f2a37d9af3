/** What the store remembers of the audit log, as a record: `settings/audit-log`. */

import { z } from 'zod';
import { canonicalJson, type Json, utf8Bytes, utf8Text } from '../../core/index.ts';
import { storeKeys } from '../store/key-layout.ts';
import type { Store } from '../store/store.ts';
import { AuditError } from '../audit/audit-error.ts';

const treeSchema = z.strictObject({
  size: z.int().min(0),
  rootHash: z.string().regex(/^[0-9a-f]{64}$/),
});

const memorySchema = z.strictObject({
  version: z.literal(1),
  /** The signed note; absent once an operator has said that the log is lost. */
  checkpoint: z.string().optional(),
  /** What the log does not say yet, and its next start must record before anything else. */
  pending: z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('ca.restored'),
        backup: z.strictObject({
          createdAt: z.string(),
          sha256: z.string(),
          revision: z.int(),
        }),
        checkpoint: treeSchema,
      }),
      z.strictObject({
        type: z.literal('audit.restarted'),
        actor: z.strictObject({ kind: z.literal('admin'), id: z.string() }),
        lost: treeSchema,
        reason: z.string(),
      }),
    ])
    .optional(),
});
export type LogMemory = z.infer<typeof memorySchema>;

/** Undefined before the first start has ended its work. Throws {@link AuditError} `audit_broken`. */
export async function readLogMemory(store: Pick<Store, 'get'>): Promise<LogMemory | undefined> {
  const item = await store.get(logMemoryKey);
  return item === undefined ? undefined : parseLogMemory(item.value);
}

/** Throws {@link AuditError} `audit_broken`. */
export function parseLogMemory(value: Uint8Array): LogMemory {
  const parsed = memorySchema.safeParse(parseJson(utf8Text(value) ?? ''));
  if (parsed.success) return parsed.data;
  throw new AuditError('audit_broken', `the record ${logMemoryKey} of the store is damaged`, {
    remedy: 'restore the CA from a backup',
  });
}

export function formatLogMemory(memory: Omit<LogMemory, 'version'>): Uint8Array {
  const json: Json = z.json().parse(JSON.parse(JSON.stringify({ ...memory, version: 1 })));
  return utf8Bytes(canonicalJson(json));
}

export const logMemoryKey = storeKeys.setting('audit-log');

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
