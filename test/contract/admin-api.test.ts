/** The admin API is what its own document says: every operation is driven from it, with good and broken input. */

import { Agent } from 'node:https';
import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { problemSchema } from '../../api/index.ts';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  pemEncode,
} from '../../pki/index.ts';
import { adminRequest, type RawAnswer, type TlsDoor } from '../fakes/admin-request.ts';
import { CaFixture } from '../system/ca-fixture.ts';
import { AdminThings, type Thing } from './admin-things.ts';

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
  likely.push(...(await namesIn(mesh)));
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
  timeout: 240_000,
}, async () => {
  const things = new AdminThings(mesh);
  for (const each of operations) {
    const { method, path } = each;
    const known = await things.of(path);
    const statuses = await drive(each, known, mesh.ca.adminSocket, runsEach);
    // What is there is found: not only the answer to a wrong name is looked at.
    const isFound = statuses.some((status) => status !== 404 && status !== 400);
    expect({ method, path, isFound: known.length === 0 || isFound }).toMatchObject({
      isFound: true,
    });
  }
  // It lives, and the log is whole: `end` verifies that.
  expect((await mesh.admin.status()).trustDomain).toBe('mesh.test');
});

test('over mutual TLS they answer alike', { timeout: 240_000 }, async () => {
  const secure = await CaFixture.begin();
  await secure.restart({
    admin: { listen: '127.0.0.1:0', roles: [{ spiffeId: callerId, role: 'admin' }] },
    lifetimes: { root: '1h', issuing: '30m', x509Svid: '10m', nodeSvid: '10m', backdate: '5s' },
  });
  const agent = await agentOf(secure);
  try {
    const door = { port: secure.ca.adminPort ?? 0, agent };
    const things = new AdminThings(secure);
    // Whoever revokes, or drops an authority, may end the very certificate that it calls with.
    const safe = operations.filter(({ path }) => !/^\/v1\/(?:revocations|authorities)/.test(path));
    expect(safe.length).toBeGreaterThan(30);
    for (const each of safe) {
      await drive(each, await things.of(each.path), door, runsOverTls);
    }
    expect((await secure.admin.status()).trustDomain).toBe('mesh.test');
  } finally {
    agent.destroy();
    await secure.end();
  }
});

/** Calls that are drawn from one seed: what fails once fails again. The statuses that came. */
async function drive(
  each: (typeof operations)[number],
  known: readonly Thing[],
  door: string | TlsDoor,
  numRuns: number,
): Promise<readonly number[]> {
  const { method, path, operation } = each;
  const good = callOf(each, known);
  const statuses: number[] = [];
  await fc.assert(
    fc.asyncProperty(fc.oneof(good, brokenCallOf(path, operation)), async (call) => {
      const answer = await adminRequest(door, { method: method.toUpperCase(), ...call });
      statuses.push(answer.status);
      checkAnswer(operation, answer);
    }),
    { numRuns, seed },
  );
  return statuses;
}

/** With an SVID that has the role admin. */
async function agentOf(fixture: CaFixture): Promise<Agent> {
  const node = await fixture.join();
  const { id } = await fixture.admin.createEntry({
    spiffeId: callerId,
    parentId: node.spiffeId,
    selectors: ['unix:uid:7'],
  });
  const { privateKey } = generateKeyPair('ec-p256');
  const csr = await createCertificateRequest(keySigner(privateKey));
  const { items } = await node.sign(id, csr);
  node.close();
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  const { roots } = await fixture.address();
  return new Agent({
    keepAlive: true,
    ca: roots,
    cert: outcome.value.certificates.map((der) => pemEncode('CERTIFICATE', der)).join(''),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    // A SPIFFE ID and no name is what the CA has; who it is, other tests look at.
    checkServerIdentity: () => undefined,
  });
}

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

test('of many that come at once with one Idempotency-Key, one is done', async () => {
  const call = (key: string): Promise<RawAnswer> =>
    adminRequest(mesh.ca.adminSocket, {
      method: 'POST',
      path: '/v1/tokens',
      body: '{}',
      headers: { 'idempotency-key': key },
    });
  const tokens = async (): Promise<number> => {
    const { records } = await mesh.admin.audit({ from: -1000, limit: 1000 });
    return records.filter(({ type }) => type === 'token.created').length;
  };
  const before = await tokens();
  const answers = await Promise.all(Array.from({ length: 20 }, () => call('at-once')));
  const done = answers.filter(({ status }) => status === 200);
  expect(new Set(done.map(({ text }) => text)).size).toBe(1);
  // Those that came while it was under way are told to ask again, and then get its answer.
  for (const { status, text } of answers) {
    if (status !== 200) expect(JSON.parse(text)).toMatchObject({ code: 'idempotency_key_busy' });
  }
  expect((await call('at-once')).text).toBe(done[0]?.text);
  expect((await tokens()) - before).toBe(1);
  expect((await call('another')).text).not.toBe(done[0]?.text);
});

test('pages are whole while others write: what stays is met once, and nothing twice', async () => {
  const create = async (name: string): Promise<string> => {
    const { id } = await mesh.admin.createEntry({
      spiffeId: `spiffe://mesh.test/paged/${name}`,
      parentId: 'spiffe://mesh.test/node-1',
      selectors: ['unix:uid:1'],
    });
    return id;
  };
  const staying = await Promise.all(Array.from({ length: 30 }, (_, i) => create(`stays-${i}`)));
  const leaving = await Promise.all(Array.from({ length: 30 }, (_, i) => create(`leaves-${i}`)));
  const met: string[] = [];
  const gone = new Set<string>();
  let after: string | undefined;
  for (let page = 0; ; page += 1) {
    const answer = await mesh.admin.listEntries({
      limit: 7,
      ...(after === undefined ? {} : { after }),
    });
    met.push(...answer.entries.map(({ id }) => id));
    after = answer.next;
    if (after === undefined) break;
    const leaver = leaving.pop();
    // The entry that the next page would begin after may be gone too.
    for (const id of new Set([after, leaver])) {
      if (id === undefined || gone.has(id)) continue;
      await mesh.admin.deleteEntry(id);
      gone.add(id);
    }
    await create(`comes-${page}`);
  }
  expect(new Set(met).size).toBe(met.length);
  const missed = staying.filter((id) => !met.includes(id));
  expect(missed).toEqual([]);
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

/** Names that bodies and queries may speak of. */
async function namesIn(fixture: CaFixture): Promise<readonly string[]> {
  const { admin } = fixture;
  const node = await fixture.join();
  node.close();
  const entry = await admin.createEntry({
    spiffeId: 'spiffe://mesh.test/there',
    parentId: node.spiffeId,
    selectors: ['unix:uid:1000'],
  });
  const { authorities } = await admin.listAuthorities();
  return [node.spiffeId, entry.id, ...authorities.map(({ id }) => id)];
}

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
function callOf(
  { method, path, operation }: (typeof operations)[number],
  known: readonly Thing[],
): fc.Arbitrary<Call> {
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
  // Mostly of something that is there, and where it is replaced, now and then by what it may be.
  const nothing: Thing = { values: {} };
  const named = fc.constantFrom(nothing, ...known);
  return fc.tuple(values, named, body, fc.boolean()).map(([given, there, drawn, isFit]) => {
    const sent = isFit && method === 'put' && there.body !== undefined ? there.body : drawn;
    return {
      path: pathWith(path, parameters, { ...given, ...there.values }),
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
    };
  });
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

// Enough to meet every branch of validation; the whole document in half a minute, and again over mutual TLS.
const runsEach = 40;
const runsOverTls = 10;
const seed = 20_261_122;
const callerId = 'spiffe://mesh.test/ops';
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
