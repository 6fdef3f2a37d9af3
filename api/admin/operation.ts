/**
 * One operation of the admin API as a value: what validates a request, what describes it in the OpenAPI
 * document and what decides who may call it are the same object, so that they cannot drift apart.
 */

import { z } from 'zod';

/** What an operation does to its resource; roles are given verbs. `act` is a step of a process, such as a rotation. */
export const adminVerbs = ['read', 'create', 'update', 'delete', 'act'] as const;
export type AdminVerb = (typeof adminVerbs)[number];

export interface Operation<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
> {
  /** `operationId` of the document: camelCase, unique. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With parameters as `:name`. */
  readonly path: string;
  readonly summary: string;
  /** What it is about, plural: `entries`, `nodes`. */
  readonly resource: string;
  readonly verb: AdminVerb;
  /** What it is to a caller whose role reaches only some paths; absent: nothing, they are refused. */
  readonly scope?: 'open' | 'filtered' | ((input: never) => unknown);
  /** A strict object, or {@link noParams}. */
  readonly params: Params;
  /** A strict object, so that a misspelt parameter is refused and not ignored; or {@link noQuery}. */
  readonly query: Query;
  /** What is sent as JSON, or {@link noBody}. */
  readonly body: Body;
  readonly answer: Answer;
  /** Default `application/json`. */
  readonly answerType?: string;
  /** Statuses besides 200 that carry an answer and no problem, such as 503 of `/readyz`. */
  readonly otherStatuses?: readonly number[];
}

export const noParams = z.strictObject({});
export const noQuery = z.strictObject({});
/** An empty object is taken too: some clients cannot send nothing. */
export const noBody = z.strictObject({}).optional();

/** One page of a list: `after` is the `next` of the page before. */
export const pageQuerySchema = z.strictObject({
  after: z.string().min(1).max(2048).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
