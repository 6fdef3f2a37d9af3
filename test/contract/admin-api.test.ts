/** The admin API is what its own document says: every operation is driven from it, with good and broken input. */

import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { problemSchema } from '../../api/index.ts';
import { adminRequest, type RawAnswer } from '../fakes/admin-request.ts';
import { CaFixture } from '../system/ca-fixture.ts';

const schemaShape = z.record(z.string(), z.unknown());
const contentShape = z.record(z.string(), z.object({ schema: schemaShape }));
const operationShape = z.object({
  operationId: z.string(),
  parameters: z
    .array(
      z.object({
        name: z.string(),
        in: z.enum(['path', 'query', 'header']),
        required: z.boolean(),
        schema: schemaShape,
      }),
    )
    .default([]),
  requestBody: z.object({ required: z.boolean(), content: contentShape }).optional(),
  responses: z.record(z.string(), z.object({ content: contentShape })),
});
const documentShape = z.object({
  openapi: z.literal('3.1.1'),
  paths: z.record(z.string(), z.record(z.string(), operationShape)),
});
type Operation = z.infer<typeof operationShape>;
type Call = { path: string; body?: string };

let mesh: CaFixture;
let document: unknown;
let operations: { method: string; path: string; operation: Operation }[];

beforeAll(async () => {
  mesh = await CaFixture.begin();
  document = JSON.parse(await mesh.admin.openApi());
  operations = Object.entries(documentShape.parse(document).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
});
afterAll(() => mesh.end());

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(z.record(z.string(), z.unknown()).parse(document));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  test('names every operation once', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(10);
  });
});

test('each operation answers good and broken input as the document says, and none with a fault of its own', {
  timeout: 60_000,
}, async () => {
  for (const { method, path, operation } of operations) {
    const arbitrary = fc.oneof(callOf(path, operation), brokenCallOf(path, operation));
    await fc.assert(
      fc.asyncProperty(arbitrary, async (call) => {
        const answer = await adminRequest(mesh.ca.adminSocket, {
          method: method.toUpperCase(),
          ...call,
        });
        checkAnswer(operation, answer);
      }),
      { numRuns: runsEach },
    );
  }
  // It lives, and the log is whole: `end` verifies that.
  expect((await mesh.admin.status()).trustDomain).toBe('mesh.test');
});

test.for([
  ['GET', '/v1/entries/%ff', undefined, 400],
  ['GET', '/v1/nothing', undefined, 404],
  ['GET', '/v1/status?colour=red', undefined, 400],
  ['GET', '/v1/entries?limit=1001', undefined, 400],
  ['GET', '/v1/entries?limit=1&limit=2', undefined, 400],
  ['POST', '/v1/entries', '{', 400],
  ['POST', '/v1/entries', 'null', 400],
  ['POST', '/v1/entries', `"${'x'.repeat(300_000)}"`, 413],
  ['PATCH', '/v1/entries', '{}', 404],
] as const)(
  '%s %s: a problem document with the id of the call',
  async ([method, path, body, status]) => {
    const answer = await adminRequest(mesh.ca.adminSocket, {
      method,
      path,
      headers: { 'x-request-id': 'call-7' },
      ...(body === undefined ? {} : { body }),
    });
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({
      'content-type': expect.stringContaining('application/problem+json'),
      'x-request-id': 'call-7',
    });
    expect(problemSchema.parse(JSON.parse(answer.text))).toMatchObject({
      requestId: 'call-7',
      status,
    });
  },
);

test('an id of a call that is not sane is replaced', async () => {
  const answer = await adminRequest(mesh.ca.adminSocket, {
    method: 'GET',
    path: '/v1/status',
    headers: { 'x-request-id': 'a b' },
  });
  expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{24}$/);
});

test('a POST with an Idempotency-Key is done once', async () => {
  const post = (body: object): Promise<RawAnswer> =>
    adminRequest(mesh.ca.adminSocket, {
      method: 'POST',
      path: '/v1/tokens',
      body: JSON.stringify(body),
      headers: { 'idempotency-key': 'token-1' },
    });
  const first = await post({ ttlSeconds: 60 });
  const again = await post({ ttlSeconds: 60 });
  expect(again).toMatchObject({ status: 200, text: first.text });
  expect(again.headers['idempotency-replayed']).toBe('true');
  const other = await post({ ttlSeconds: 61 });
  expect(other.status).toBe(409);
  expect(JSON.parse(other.text)).toMatchObject({ code: 'idempotency_key_reused' });
});

function checkAnswer(operation: Operation, { status, headers, text }: RawAnswer): void {
  const declared = operation.responses[String(status)];
  const type = String(headers['content-type']).split(';')[0] ?? '';
  if (declared === undefined) {
    expect({ id: operation.operationId, status, text }).toMatchObject({
      status: expect.toSatisfy((code: number) => code >= 400 && code < 500),
    });
    expect(type).toBe('application/problem+json');
    problemSchema.parse(JSON.parse(text));
    return;
  }
  const content = declared.content[type];
  expect(content, `${operation.operationId} answers ${type}`).toBeDefined();
  if (type !== 'application/json') return;
  const result = z.fromJSONSchema(content?.schema ?? {}).safeParse(JSON.parse(text));
  expect(result.error?.message, operation.operationId).toBeUndefined();
}

/** What the document allows. */
function callOf(path: string, operation: Operation): fc.Arbitrary<Call> {
  const parameters = operation.parameters.filter((each) => each.in !== 'header');
  const values = fc.record(
    Object.fromEntries(
      parameters.map(({ name, required, schema }) => [
        name,
        required ? valueOf(schema) : fc.option(valueOf(schema), { nil: undefined }),
      ]),
    ),
  );
  const schema = operation.requestBody?.content['application/json']?.schema;
  const body = schema === undefined ? fc.constant(undefined) : valueOf(schema);
  return fc.tuple(values, body).map(([given, sent]) => ({
    path: pathWith(path, parameters, given),
    ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
  }));
}

/** What it does not: other types, other names, bytes that are no JSON. */
function brokenCallOf(path: string, operation: Operation): fc.Arbitrary<Call> {
  const { parameters } = operation;
  const junk = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.integer(),
    fc.constantFrom('-1', 'NaN', '..'),
  );
  const values = fc.record(Object.fromEntries(parameters.map(({ name }) => [name, junk])));
  const body = fc.oneof(fc.json({ maxDepth: 3 }), fc.string({ minLength: 1, maxLength: 40 }));
  const extra = fc.option(fc.tuple(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 })));
  const hasBody = operation.requestBody !== undefined;
  return fc.tuple(values, body, extra).map(([given, sent, more]) => {
    const called = pathWith(
      path,
      parameters.filter((each) => each.in !== 'header'),
      given,
    );
    const query =
      more === null
        ? ''
        : `${called.includes('?') ? '&' : '?'}${encode(more[0])}=${encode(more[1])}`;
    return { path: `${called}${query}`, ...(hasBody ? { body: sent } : {}) };
  });
}

function pathWith(
  path: string,
  parameters: Operation['parameters'],
  given: Readonly<Record<string, unknown>>,
): string {
  const filled = path.replaceAll(
    /\{(\w+)\}/g,
    (_, name: string) => encode(String(given[name])) || '-',
  );
  const query = parameters
    .filter((each) => each.in === 'query' && given[each.name] !== undefined)
    .map(({ name }) => `${encode(name)}=${encode(String(given[name]))}`);
  return query.length === 0 ? filled : `${filled}?${query.join('&')}`;
}

/** A value that fits the schema, or nearly: patterns are guessed at. */
function valueOf(schema: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const options = z.array(schemaShape).safeParse(schema['anyOf'] ?? schema['oneOf']);
  if (options.success) return fc.oneof(...options.data.map(valueOf));
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...schema['enum']);
  switch (schema['type']) {
    case 'integer':
    case 'number': {
      const min = Math.max(Number(schema['minimum'] ?? -5), -1e6);
      return fc.integer({ min, max: Math.min(Number(schema['maximum'] ?? 1e6), min + 1e6) });
    }
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const items = schemaShape.safeParse(schema['items']);
      const maxLength = Math.min(Number(schema['maxItems'] ?? 3), 3);
      return fc.array(items.success ? valueOf(items.data) : fc.jsonValue(), { maxLength });
    }
    case 'object':
      return objectOf(schema);
    case 'string':
      return fc.oneof(fc.constantFrom(...likely), fc.string({ minLength: 1, maxLength: 30 }));
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function objectOf(schema: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const properties = z.record(z.string(), schemaShape).parse(schema['properties'] ?? {});
  const required = z.array(z.string()).parse(schema['required'] ?? []);
  return fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, valueOf(each)])),
    { requiredKeys: required },
  );
}

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

// Enough to meet every branch of validation; the whole document in some seconds.
const runsEach = 12;
const likely = [
  'spiffe://mesh.test/web',
  'spiffe://mesh.test/node-1',
  'spiffe://other.test/web',
  'spiffe://mesh.test/signet/ca',
  'unix:uid:1000',
  'web.mesh.test',
  'abcdef0123456789',
  '2030-01-01T00:00:00Z',
];
