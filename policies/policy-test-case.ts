/** A test case inside a policy's document: facts in short, and the verdict they must get. */

import { z } from 'zod';
import { isSpiffeId, type SpiffeId } from '../spiffe/index.ts';
import type { IssuanceFacts } from './issuance-facts.ts';

export interface PolicyTest {
  readonly name: string;
  readonly facts: IssuanceFacts;
  readonly expect: 'deny' | 'allow';
  /** The rule that must decide, where that is part of what is tested. */
  readonly rule?: string | undefined;
}

const spiffeIdField = z.string().transform((text, context): SpiffeId => {
  if (isSpiffeId(text)) return text;
  context.addIssue({ code: 'custom', message: `${JSON.stringify(text)} is not a SPIFFE ID` });
  return z.NEVER;
});

const timeField = z
  .string()
  .refine((text) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) && !Number.isNaN(Date.parse(text)), {
    message: 'a time is written 2026-12-24T18:00:00Z',
  })
  .transform((text) => Date.parse(text));

/** What a case leaves out: a request that a small mesh would see on an ordinary Monday. */
const usual = {
  nodeId: 'spiffe://mesh.test/signet/node/test',
  entryId: 'entry-1',
  ttlSeconds: 3600,
  keyType: 'ec-p256',
  nowMs: Date.parse('2026-01-05T12:00:00Z'),
  createdAtMs: Date.parse('2026-01-01T00:00:00Z'),
} as const;

const texts = z.array(z.string());

const factsField = z
  .strictObject({
    node: z
      .strictObject({ id: z.string().default(usual.nodeId), selectors: texts.default([]) })
      .prefault({}),
    entry: z.strictObject({
      id: z.string().default(usual.entryId),
      spiffeId: spiffeIdField,
      dnsNames: texts.default([]),
      hint: z.string().default(''),
      admin: z.boolean().default(false),
      createdAt: timeField.optional(),
    }),
    request: z
      .strictObject({
        kind: z.enum(['x509', 'jwt']).default('x509'),
        ttlSeconds: z.number().int().positive().default(usual.ttlSeconds),
        keyType: z.string().optional(),
        audience: texts.default([]),
      })
      .prefault({}),
    now: timeField.optional(),
  })
  .transform(({ node, entry, request, now }): IssuanceFacts => {
    const { createdAt = usual.createdAtMs, ...rest } = entry;
    const usualKey = request.kind === 'jwt' ? '' : usual.keyType;
    return {
      node,
      entry: { ...rest, createdAtMs: createdAt },
      request: { ...request, keyType: request.keyType ?? usualKey },
      nowMs: now ?? usual.nowMs,
    };
  });

export const policyTestField = z.strictObject({
  name: z.string().min(1),
  facts: factsField,
  expect: z.enum(['deny', 'allow']),
  rule: z.string().optional(),
});
