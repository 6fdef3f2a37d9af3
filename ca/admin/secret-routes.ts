/**
 * Named secrets on the admin API. Only an admin may put or delete one; whoever may read sees names, rules
 * and sizes. Nobody reads a value here: values leave by the node API alone, to workloads.
 */

import type { RouteOptions } from 'fastify';
import { z } from 'zod';
import {
  noBody,
  noParams,
  noQuery,
  pageQuerySchema,
  putSecretSchema,
  secretListSchema,
  secretSchema,
  type SecretView,
} from '../../api/index.ts';
import type { AuditedSecret } from '../audit/event.ts';
import { type NamedSecret, newestOf } from '../secrets/named-secret.ts';
import { secretNotFound } from '../secrets/secret-store.ts';
import type { AdminDeps } from './admin-context.ts';
import { operationRoute } from './route.ts';

export function secretRoutes({ secrets, audit }: AdminDeps): RouteOptions[] {
  return [
    {
      ...operationRoute(putOperation, async ({ params: { name }, body }, { actor }) => {
        const values =
          body.values === undefined
            ? undefined
            : new Map(
                Object.entries(body.values).map(([each, text]) => [
                  each,
                  new Uint8Array(Buffer.from(text, 'base64')),
                ]),
              );
        try {
          const secret = await secrets.put(
            { name, allow: body.allow, values, by: actor.id },
            async (next) => {
              await audit.append({ actor, type: 'secret.put', secret: auditedSecret(next) });
            },
          );
          return secretView(secret);
        } finally {
          for (const value of values?.values() ?? []) value.fill(0);
        }
      }),
      bodyLimit: bodyBytesMax,
    },
    operationRoute(listOperation, async ({ query }) => {
      const { secrets: found, next } = await secrets.list(query);
      const views = found.map(secretView);
      return next === undefined ? { secrets: views } : { secrets: views, next };
    }),
    operationRoute(getOperation, async ({ params: { name } }) => {
      const secret = await secrets.get(name);
      if (secret === undefined) throw secretNotFound(name);
      return secretView(secret);
    }),
    operationRoute(deleteOperation, async ({ params: { name } }, { actor }) => {
      const deleted = await secrets.delete(name, async (secret) => {
        await audit.append({ actor, type: 'secret.deleted', secret: auditedSecret(secret) });
      });
      return secretView(deleted);
    }),
  ];
}

function auditedSecret(secret: NamedSecret): AuditedSecret {
  const { version, values } = newestOf(secret);
  const { name, allow } = secret;
  return { name, version, values: values.map((each) => each.name), allow };
}

function secretView(secret: NamedSecret): SecretView {
  return {
    name: secret.name,
    allow: [...secret.allow],
    version: newestOf(secret).version,
    versions: secret.versions.toReversed().map(({ version, createdAtMs, by, values }) => ({
      version,
      createdAt: new Date(createdAtMs).toISOString(),
      by,
      values: values.map(({ name, bytes }) => ({ name, bytes })),
    })),
  };
}

const base = { resource: 'secrets', params: noParams, query: noQuery, body: noBody } as const;

const listOperation = {
  ...base,
  id: 'listSecrets',
  method: 'GET',
  path: '/v1/secrets',
  summary: 'Named secrets, by name, without their values',
  verb: 'read',
  query: pageQuerySchema,
  answer: secretListSchema,
} as const;

const one = {
  ...base,
  path: '/v1/secrets/:name',
  params: z.strictObject({ name: z.string().min(1).max(256) }),
  answer: secretSchema,
} as const;

const putOperation = {
  ...one,
  id: 'putSecret',
  method: 'PUT',
  summary: 'A new version of a secret, or another rule for the one that stands',
  verb: 'create',
  body: putSecretSchema,
} as const;

const getOperation = {
  ...one,
  id: 'getSecret',
  method: 'GET',
  summary: 'One secret: its rule and its versions, never its values',
  verb: 'read',
} as const;

const deleteOperation = {
  ...one,
  id: 'deleteSecret',
  method: 'DELETE',
  summary: 'Delete a secret; it is withdrawn from workloads at once',
  verb: 'delete',
} as const;

// The values of one version in base64, and their names.
const bodyBytesMax = 1024 * 1024;
