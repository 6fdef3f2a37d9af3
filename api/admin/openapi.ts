/** The OpenAPI 3.1 document of the admin API, made of the schemas that validate its requests. */

import { z } from 'zod';
import { noBody, type Operation } from './operation.ts';
import { problemSchema } from './problem.ts';

/** A document as JSON. Its operations stand in the order given. */
export type OpenApiDocument = {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly summary: string };
  readonly servers: readonly { readonly url: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
};

type OpenApiOperation = {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly unknown[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
  readonly 'x-signet-verb': string;
  readonly 'x-signet-resource': string;
  readonly 'x-signet-scope': 'open' | 'filtered' | 'paths' | 'everywhere';
};

export function openApiDocument(
  operations: readonly Operation[],
  version: string,
): OpenApiDocument {
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll(/:([A-Za-z]\w*)/g, '{$1}');
    const methods = (paths[path] ??= {});
    methods[operation.method.toLowerCase()] = describe(operation);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Signet admin API',
      version,
      summary: 'Operates a Signet certificate authority.',
    },
    // Over the Unix socket the host is of no meaning; over mTLS it is the address of `admin.listen`.
    servers: [{ url: '/', description: 'the admin socket, or the admin listener over mutual TLS' }],
    paths,
    components: { schemas: { Problem: jsonSchemaOf(problemSchema, 'output') } },
  };
}

function describe(operation: Operation): OpenApiOperation {
  const { id, summary, resource, verb, scope, params, query, body, answer, answerType } = operation;
  const parameters = [
    ...parametersOf(params, 'path'),
    ...parametersOf(query, 'query'),
    ...(operation.method === 'POST' ? [idempotencyKeyParameter] : []),
  ];
  const content = {
    [answerType ?? 'application/json']: { schema: jsonSchemaOf(answer, 'output') },
  };
  const others = (operation.otherStatuses ?? []).map((status) => [
    String(status),
    { description: 'the same answer, with another verdict', content },
  ]);
  return {
    operationId: id,
    summary,
    tags: [resource],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === noBody
      ? {}
      : {
          requestBody: {
            required: !body.safeParse(undefined).success,
            content: { 'application/json': { schema: jsonSchemaOf(body, 'input') } },
          },
        }),
    responses: {
      '200': { description: 'done', content },
      ...Object.fromEntries(others),
      default: problemAnswer,
    },
    'x-signet-verb': verb,
    'x-signet-resource': resource,
    'x-signet-scope': typeof scope === 'function' ? 'paths' : (scope ?? 'everywhere'),
  };
}

/** Each property of the object schema is a parameter of its own. */
function parametersOf(schema: z.ZodType, place: 'path' | 'query'): unknown[] {
  const { properties = {}, required = [] } = objectShape.parse(jsonSchemaOf(schema, 'input'));
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    // OpenAPI 3.1 §4.8.12: a path parameter is always required.
    required: place === 'path' || required.includes(name),
    schema: property,
  }));
}

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): unknown {
  // OpenAPI 3.1 is JSON Schema 2020-12 by default, so that no schema needs to say so.
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}

const objectShape = z.object({
  properties: z.record(z.string(), z.unknown()).optional(),
  required: z.array(z.string()).optional(),
});

const problemAnswer = {
  description: 'refused, and why (RFC 9457)',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const idempotencyKeyParameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'a call repeated with the same key and body is answered as the first one was',
  schema: { type: 'string', pattern: '^[!-~]{1,128}$' },
};
