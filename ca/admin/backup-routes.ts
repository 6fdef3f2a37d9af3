/** A backup over the admin API: sealed keys, registry and audit log, while the CA goes on. */

import { Readable } from 'node:stream';
import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import { noBody, noParams, noQuery } from '../../api/index.ts';
import { createBackup } from '../backup/create-backup.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function backupRoutes({ store, audit, auditDirectory, clock }: AdminDeps): RouteOptions[] {
  return [
    operationRoute(backupOperation, async (_input, { reply }) => {
      const auditSize = (): number => audit.size();
      const bytes = await createBackup({ store, auditDirectory, auditSize, clock });
      return reply.type(backupOperation.answerType).send(Readable.from(bytes));
    }),
  ];
}

const backupOperation = {
  id: 'createBackup',
  method: 'POST',
  path: '/v1/backup',
  summary:
    'Everything a lost CA is restored from; keys stay sealed. The last line says that it is whole',
  resource: 'backup',
  verb: 'create',
  params: noParams,
  query: noQuery,
  body: noBody,
  answer: z.string(),
  answerType: 'application/x-ndjson',
} as const;
