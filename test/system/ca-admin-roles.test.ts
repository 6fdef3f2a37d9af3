/** Every operation of the admin API's document under every role, over mutual TLS: the whole table, cell by cell. */

import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  createCertificateRequest,
  generateKeyPair,
  keySigner,
  pemEncode,
} from '../../pki/index.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';

const roles = ['none', 'viewer', 'operator', 'admin'] as const;
type Role = (typeof roles)[number];
type Scope = 'open' | 'filtered' | 'paths' | 'everywhere';

/**
 * The least role that may, and what it is to a role that reaches only `/team-a`; then input that is right but
 * for that reach. A new operation is in the document and not here, and fails until somebody decides.
 */
const table: Readonly<Record<string, readonly [Role, Scope, Input?]>> = {
  createEntry: ['operator', 'paths', { body: () => entryBody('/team-b/x') }],
  listEntries: ['viewer', 'filtered'],
  importEntries: ['operator', 'paths', { body: () => ({ entries: [entryBody('/team-b/x')] }) }],
  getEntry: ['viewer', 'paths', { id: () => foreignId }],
  updateEntry: ['operator', 'paths', { id: () => foreignId, body: () => entryBody('/team-b/x') }],
  deleteEntry: ['operator', 'paths', { id: () => foreignId }],
  createToken: ['operator', 'paths', { body: () => ({}) }],
  listTokens: ['viewer', 'filtered'],
  deleteToken: ['operator', 'paths', { id: () => foreignToken }],
  listNodes: ['viewer', 'filtered'],
  pruneNodes: ['operator', 'everywhere', { body: () => ({ expiredForSeconds: 3600 }) }],
  getNode: ['viewer', 'paths'],
  evictNode: ['operator', 'paths'],
  banNode: ['operator', 'paths'],
  unbanNode: ['operator', 'paths'],
  createRule: [
    'admin',
    'everywhere',
    { body: () => ({ template: 'spiffe://mesh.test/ns/{k8s.ns}', selectors: ['unix:uid:1'] }) },
  ],
  listRules: ['viewer', 'everywhere'],
  getRule: ['viewer', 'everywhere'],
  deleteRule: ['admin', 'everywhere'],
  listRuleIdentities: ['viewer', 'everywhere'],
  getBundle: ['viewer', 'open'],
  listFederatedBundles: ['viewer', 'everywhere'],
  getFederatedBundle: ['viewer', 'everywhere'],
  setFederatedBundle: ['admin', 'everywhere', { body: () => ({ document: '{"keys":[]}' }) }],
  deleteFederatedBundle: ['admin', 'everywhere'],
  listSecrets: ['viewer', 'everywhere'],
  getSecret: ['viewer', 'everywhere'],
  putSecret: [
    'admin',
    'everywhere',
    { body: () => ({ allow: ['spiffe://mesh.test/web'], values: { '': 'eA==' } }) },
  ],
  deleteSecret: ['admin', 'everywhere'],
  listAuthorities: ['viewer', 'open'],
  planRotation: ['viewer', 'open'],
  prepareAuthority: ['admin', 'everywhere'],
  activateAuthority: ['admin', 'everywhere'],
  retireAuthority: ['admin', 'everywhere'],
  abortAuthority: ['admin', 'everywhere'],
  taintAuthority: ['admin', 'everywhere'],
  revokeAuthority: ['admin', 'everywhere'],
  listAuditRecords: ['viewer', 'everywhere', { query: 'from=0' }],
  queryAuditRecords: ['viewer', 'everywhere'],
  whoHeld: [
    'viewer',
    'everywhere',
    {
      query:
        'spiffeId=spiffe%3A%2F%2Fmesh.test%2Fweb&from=2026-01-01T00%3A00%3A00Z&to=2026-01-02T00%3A00%3A00Z',
    },
  ],
  getAuditCheckpoint: ['viewer', 'everywhere'],
  markSegmentArchived: ['admin', 'everywhere', { body: () => ({ firstIndex: 0, to: '/archive' }) }],
  revoke: ['admin', 'paths', { body: () => ({ spiffeId: 'spiffe://mesh.test/team-b/x' }) }],
  listRevocations: ['viewer', 'filtered'],
  unblock: ['admin', 'paths', { body: () => ({ spiffeId: 'spiffe://mesh.test/team-b/x' }) }],
  getPolicy: ['viewer', 'open'],
  reloadPolicy: ['admin', 'everywhere'],
  explainPolicy: ['viewer', 'paths', { body: () => ({ entryId: foreignId }) }],
  mintJwtSvid: ['admin', 'paths', { body: () => ({ entryId: foreignId, audience: ['a'] }) }],
  getStatus: ['viewer', 'filtered'],
  getLivez: ['viewer', 'open'],
  getReadyz: ['viewer', 'open'],
  getMetrics: ['viewer', 'open'],
  createBackup: ['admin', 'everywhere'],
  getOpenApi: ['viewer', 'open'],
};

interface Input {
  readonly id?: () => string;
  readonly query?: string;
  readonly body?: () => object;
}

const documentShape = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        operationId: z.string(),
        'x-signet-scope': z.enum(['open', 'filtered', 'paths', 'everywhere']),
      }),
    ),
  ),
});
interface Documented {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly scope: Scope;
}

let mesh: CaFixture;
let node: TestNode;
let operations: readonly Documented[];
let foreignId: string;
let foreignToken: string;
const keys = new Map<string, { readonly cert: string; readonly key: string }>();

beforeAll(async () => {
  mesh = await CaFixture.begin();
  await mesh.restart({
    admin: {
      listen: '127.0.0.1:0',
      roles: [
        { spiffeId: 'spiffe://mesh.test/viewer', role: 'viewer' },
        { spiffeId: 'spiffe://mesh.test/operator', role: 'operator' },
        { spiffeId: 'spiffe://mesh.test/admin', role: 'admin' },
        { spiffeId: 'spiffe://mesh.test/team-a/admin', role: 'admin', paths: ['/team-a'] },
        { spiffeId: 'spiffe://mesh.test/reader', role: 'admin', verbs: ['read'] },
      ],
    },
    lifetimes: { root: '1h', issuing: '10m', x509Svid: '60s', nodeSvid: '120s', backdate: '5s' },
  });
  node = await mesh.join();
  for (const path of ['/none', '/viewer', '/operator', '/admin', '/team-a/admin', '/reader']) {
    keys.set(path, await identityOf(path));
  }
  foreignId = (await mesh.admin.createEntry(entryBody('/team-b/web'))).id;
  const alias = 'spiffe://mesh.test/team-b/nodes';
  foreignToken = (await mesh.admin.createToken({ alias })).id;
  const { paths } = documentShape.parse(JSON.parse(await mesh.admin.openApi()));
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      id: operation.operationId,
      method: method.toUpperCase(),
      path,
      scope: operation['x-signet-scope'],
    })),
  );
});
afterAll(async () => {
  node?.close();
  await mesh.end();
});

test('the table and the document name the same operations, with the same scopes', () => {
  expect(Object.fromEntries(operations.map(({ id, scope }) => [id, scope]))).toEqual(
    Object.fromEntries(Object.entries(table).map(([id, [, scope]]) => [id, scope])),
  );
});

describe('every operation', () => {
  test.for(roles)('as %s', async (role) => {
    const cells: Record<string, string> = {};
    const wanted: Record<string, string> = {};
    for (const operation of operations) {
      const least = table[operation.id]?.[0] ?? 'none';
      wanted[operation.id] = roles.indexOf(role) >= roles.indexOf(least) ? 'may' : 'may not';
      // A parameter that nobody knows: who may call is told that, and nothing is changed.
      const { status, code } = await call(`/${role}`, operation, { query: 'nobody=knows' });
      expect(status).toBe(code === 'admin_role' ? 403 : 400);
      cells[operation.id] = code === 'admin_role' ? 'may not' : 'may';
    }
    expect(cells).toEqual(wanted);
  });

  test('as an admin of the verb read alone', async () => {
    for (const operation of operations) {
      const { code } = await call('/reader', operation, { query: 'nobody=knows' });
      expect({ id: operation.id, code }).toEqual({
        id: operation.id,
        code: table[operation.id]?.[0] === 'viewer' ? 'request_invalid' : 'admin_role',
      });
    }
  });

  test('as an admin of /team-a, about what is elsewhere', async () => {
    const before = await mesh.admin.listEntries({});
    for (const operation of operations) {
      const [, scope, input = {}] = table[operation.id] ?? [];
      const { status, code } = await call('/team-a/admin', operation, input);
      const isFree = scope === 'open' || scope === 'filtered';
      expect({ id: operation.id, status, code }).toEqual({
        id: operation.id,
        status: isFree ? 200 : 403,
        code: isFree ? '' : 'admin_scope',
      });
    }
    expect(await mesh.admin.listEntries({})).toEqual(before);
  });
});

function entryBody(path: string): {
  spiffeId: string;
  parentId: string;
  selectors: string[];
} {
  return {
    spiffeId: `spiffe://mesh.test${path}`,
    parentId: node.spiffeId,
    selectors: ['unix:uid:1'],
  };
}

async function identityOf(path: string): Promise<{ cert: string; key: string }> {
  const { id } = await mesh.admin.createEntry(entryBody(path));
  const { privateKey } = generateKeyPair('ec-p256');
  const { items } = await node.sign(id, await createCertificateRequest(keySigner(privateKey)));
  const outcome = items[0]?.outcome;
  if (outcome?.$case !== 'chain') throw new Error(JSON.stringify(outcome));
  await mesh.admin.deleteEntry(id);
  const cert = outcome.value.certificates.map((der) => pemEncode('CERTIFICATE', der)).join('');
  return { cert, key: privateKey.export({ format: 'pem', type: 'pkcs8' }) };
}

async function call(
  caller: string,
  { method, path }: Documented,
  { id, query, body }: Input,
): Promise<{ status: number; code: string }> {
  const [, , attestor = '', ...rest] = new URL(node.spiffeId).pathname.slice(1).split('/');
  const filled = path
    .replace('{id}', id?.() ?? 'ab'.repeat(20))
    .replace('{attestor}', attestor)
    .replace('{name}', rest.join('/'));
  const { roots } = await mesh.address();
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...keys.get(caller),
        host: '127.0.0.1',
        port: mesh.ca.adminPort,
        servername: 'ca.signet.internal',
        ca: roots,
        method,
        path: query === undefined ? filled : `${filled}?${query}`,
        checkServerIdentity: () => undefined,
        agent: false,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const problem =
            status < 400 ? undefined : z.object({ code: z.string() }).parse(JSON.parse(text));
          resolve({ status, code: problem?.code ?? '' });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body()));
  });
}
