/** The operations of an agent's admin API: what validates a call and what describes it are the same value. */

import { z } from 'zod';
import { noBody, noParams, noQuery, type Operation } from '../admin/operation.ts';
import { explanationSchema } from './explanation.ts';
import { resendSchema, resentSchema, sdsClientsSchema, sdsEventSchema } from './sds.ts';
import { agentStatusSchema } from './status.ts';

const reading = { params: noParams, query: noQuery, body: noBody, verb: 'read' } as const;

export const agentStatusOperation = {
  ...reading,
  id: 'getAgentStatus',
  method: 'GET',
  path: '/v1/status',
  summary: 'The agent at a glance',
  resource: 'agent',
  answer: agentStatusSchema,
} as const satisfies Operation;

export const sdsClientsOperation = {
  ...reading,
  id: 'listSdsClients',
  method: 'GET',
  path: '/v1/sds/clients',
  summary: 'Who subscribes to secrets, what they have of them, and what they would get now',
  resource: 'sds',
  answer: sdsClientsSchema,
} as const satisfies Operation;

export const sdsWatchOperation = {
  ...reading,
  id: 'watchSdsClients',
  method: 'GET',
  path: '/v1/sds/watch',
  summary: 'Every change of an SDS client as it comes, one JSON object a line',
  resource: 'sds',
  answer: sdsEventSchema,
  answerType: 'application/x-ndjson',
} as const satisfies Operation;

export const sdsResendOperation = {
  id: 'resendSecrets',
  method: 'POST',
  path: '/v1/sds/resend',
  summary: 'Sends secrets again to the streams that asked for them',
  resource: 'sds',
  verb: 'act',
  params: noParams,
  query: noQuery,
  body: resendSchema,
  answer: resentSchema,
} as const satisfies Operation;

export const explainOperation = {
  ...reading,
  id: 'explainProcess',
  method: 'GET',
  path: '/v1/explain',
  summary: 'Why a process has the identities that it has, or none',
  resource: 'agent',
  query: z.strictObject({
    pid: z.coerce
      .number()
      .int()
      .min(1)
      .max(2 ** 31 - 1),
  }),
  answer: explanationSchema,
} as const satisfies Operation;

export const agentMetricsOperation = {
  ...reading,
  id: 'getAgentMetrics',
  method: 'GET',
  path: '/metrics',
  summary: 'What the agent measures of itself, as Prometheus reads it',
  resource: 'agent',
  answer: z.string(),
  answerType: 'text/plain',
} as const satisfies Operation;

export const agentLivezOperation = {
  ...reading,
  id: 'getAgentLivez',
  method: 'GET',
  path: '/livez',
  summary: 'Whether the process answers at all',
  resource: 'agent',
  answer: z.object({ status: z.literal('ok') }),
} as const satisfies Operation;

export const agentReadyzOperation = {
  ...reading,
  id: 'getAgentReadyz',
  method: 'GET',
  path: '/readyz',
  summary: 'Whether identities can be served for some time to come, and what stands in the way',
  resource: 'agent',
  answer: z.object({ status: z.enum(['ok', 'not ready']), reasons: z.array(z.string()) }),
  otherStatuses: [503],
} as const satisfies Operation;
