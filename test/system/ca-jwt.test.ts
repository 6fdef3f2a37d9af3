import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../../cli/demo/wait.ts';
import { systemClock } from '../../core/index.ts';
import { bundleSetOf, type JwtSvid, verifyJwtSvid } from '../../spiffe/index.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';
import { runSignet } from './signet-command.ts';

const issuer = 'https://oidc.mesh.test/tenant';
let mesh: CaFixture;
let node: TestNode;
let entryId: string;

beforeEach(async () => {
  mesh = await CaFixture.begin();
  await mesh.restart({
    oidc: { listen: '127.0.0.1:0', issuer },
    jwt: { ttl: '10s', ttlMax: '20s' },
  });
  node = await mesh.join();
  entryId = await mesh.webEntry(node);
  const sync = node.sync();
  await sync.state(({ entries }) => entries.some((entry) => entry.id === entryId));
  sync.cancel();
  await sync.ended;
});
afterEach(async () => {
  node.close();
  await mesh.end();
});

type Asked = Partial<Parameters<TestNode['mint']>[0][number]>;

async function mint(asked: Asked = {}): Promise<string> {
  const { items } = await node.mint([
    { entryId, audience: ['orders'], ttlMs: 0n, selectors: [], ...asked },
  ]);
  const outcome = items[0]?.outcome;
  return outcome?.$case === 'minted' ? outcome.value.token : (outcome?.value.code ?? 'nothing');
}

async function verified(token: string): Promise<JwtSvid> {
  const verdict = verifyJwtSvid({
    token,
    audience: 'orders',
    bundles: bundleSetOf([await mesh.bundle()]),
    atMs: systemClock.wallMs(),
  });
  if (verdict.kind === 'valid') return verdict;
  throw new Error(`${verdict.code}: ${verdict.detail}`);
}

function oidc(path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest({ port: mesh.ca.oidcPort, path, method }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asking.on('error', reject);
    asking.end();
  });
}

describe('a node mints for its workloads', () => {
  test('and a verifier finds key, name and end in the bundle and the token', async () => {
    const token = await mint();
    const { id, claims, expiresAtMs, keyId } = await verified(token);
    expect(id).toBe('spiffe://mesh.test/web');
    expect(claims).toMatchObject({ iss: issuer, aud: ['orders'], jti: expect.any(String) });
    expect(expiresAtMs - systemClock.wallMs()).toBeGreaterThan(5000);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: keyId, typ: 'JWT' });
    const { jwtAuthorities } = await mesh.bundle();
    expect(jwtAuthorities.map((authority) => authority.keyId)).toContain(keyId);
  });

  test.for<[string, Asked, string]>([
    ['an entry of nobody', { entryId: 'nobody' }, 'entry_not_authorized'],
    ['no audience', { audience: [] }, 'audience_invalid'],
    ['an audience that is no name', { audience: ['two words'] }, 'audience_invalid'],
  ])('%s is refused, on the record', async ([, asked, code]) => {
    expect(await mint(asked)).toBe(code);
    const { records } = await mesh.admin.audit({ from: -1 });
    expect(records).toMatchObject([
      { type: 'jwt.denied', actor: { kind: 'node', id: node.spiffeId }, refusal: { code } },
    ]);
  });

  test('the life asked for is cut to the maximum', async () => {
    const { claims } = await verified(await mint({ ttlMs: 86_400_000n }));
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(20);
  });

  test('one refusal harms no other item, and too many are refused at once', async () => {
    const item = { entryId, audience: ['orders'], ttlMs: 0n, selectors: [] };
    const { items } = await node.mint([item, { ...item, entryId: 'nobody' }, item]);
    expect(items.map(({ outcome }) => outcome?.$case)).toEqual(['minted', 'refusal', 'minted']);
    const many = Array.from({ length: 257 }, () => item);
    await expect(node.mint(many)).rejects.toMatchObject({
      message: expect.stringContaining('256'),
    });
  });

  test('the record has who, what and for whom, and never the token', async () => {
    const token = await mint();
    const { jti } = (await verified(token)).claims;
    const { records } = await mesh.admin.audit({ from: -1 });
    expect(records).toMatchObject([
      {
        type: 'jwt.issued',
        actor: { kind: 'node', id: node.spiffeId },
        token: { jti, spiffeId: 'spiffe://mesh.test/web', audience: ['orders'], entryId },
      },
    ]);
    expect(JSON.stringify(records)).not.toContain(token.split('.')[2]);
  });

  test('tokens of before a restart stay good after it', async () => {
    const token = await mint({ ttlMs: 20_000n });
    await mesh.restart({ oidc: { listen: '127.0.0.1:0', issuer } });
    expect((await verified(token)).id).toBe('spiffe://mesh.test/web');
  });
});

describe('OIDC discovery', () => {
  test('a relying party comes from the issuer to a verified token', async () => {
    const { status, body } = await oidc('/tenant/.well-known/openid-configuration');
    expect(status).toBe(200);
    const document: { issuer: string; jwks_uri: string } = JSON.parse(body);
    expect(document).toMatchObject({
      issuer,
      jwks_uri: `${issuer}/keys`,
      id_token_signing_alg_values_supported: ['ES256'],
      subject_types_supported: ['public'],
      response_types_supported: ['id_token'],
    });
    // In the place of the front that ends TLS: what it is asked for, it asks the CA for.
    const front = createServer((_request, response) => {
      void oidc(new URL(document.jwks_uri).pathname).then((keys) => response.end(keys.body));
    });
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    const address = front.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    try {
      const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${port}/keys`));
      const options = { issuer, audience: 'orders', algorithms: ['ES256'] };
      const { payload } = await jwtVerify(await mint(), keys, options);
      expect(payload.sub).toBe('spiffe://mesh.test/web');
      await expect(jwtVerify(await mint({ audience: ['else'] }), keys, options)).rejects.toThrow(
        'aud',
      );
    } finally {
      front.closeAllConnections();
      front.close();
    }
  });

  test('the keys are public ones for signatures, and nothing else is served', async () => {
    const { keys }: { keys: object[] } = JSON.parse((await oidc('/tenant/keys')).body);
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      expect(Object.keys(key).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      expect(key).toMatchObject({ use: 'sig', alg: 'ES256' });
    }
    const statuses = await Promise.all([
      oidc('/tenant/keys', 'HEAD'),
      oidc('/tenant/keys?x=1'),
      oidc('/tenant/keys', 'POST'),
      oidc('/keys'),
      oidc('/tenant/../tenant/keys'),
      oidc('/v1/status'),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 405, 404, 404, 404]);
  });

  test.for(['http://a.test', 'https://a.test/', 'https://a.test?x', 'https://u@a.test', 'a'])(
    'the issuer %s is refused at the start',
    (bad) => {
      expect(() => mesh.start({ oidc: { listen: '127.0.0.1:0', issuer: bad } })).toThrow('issuer');
    },
  );
});

test('operators wait their turn as nodes do, and what they mint is counted', async () => {
  await mesh.restart({ limits: { signingPerSecond: 20 } });
  const asked = Array.from({ length: 60 }, () =>
    mesh.admin.mintJwt({ entryId, audience: ['orders'] }),
  );
  // More than a second's worth came at once: the rest stands in the line before the key.
  await waitFor('requests that wait', 5000, async () =>
    /^signet_ca_requests_waiting [1-9]/m.test(await scrape()) ? true : undefined,
  );
  const minted = await Promise.all(asked);
  expect(new Set(minted.map(({ jti }) => jti)).size).toBe(60);
  await expect(mesh.admin.mintJwt({ entryId, audience: ['two words'] })).rejects.toMatchObject({
    code: 'audience_invalid',
  });

  const text = await scrape();
  for (const sample of [
    'signet_ca_jwt_minting_total{outcome="minted"} 60',
    'signet_ca_jwt_minting_total{outcome="audience_invalid"} 1',
    'signet_ca_jwt_minting_seconds_count 60',
    'signet_ca_admin_calls_total{method="POST",resource="jwt-svids",outcome="ok"} 60',
    'signet_ca_admin_calls_total{method="POST",resource="jwt-svids",outcome="audience_invalid"} 1',
    'signet_ca_admin_call_seconds_count{method="POST",resource="jwt-svids"} 61',
    'signet_ca_requests_waiting 0',
  ]) {
    expect(text).toContain(`\n${sample}\n`);
  }
});

/** What a scraper gets on the admin socket. */
function scrape(): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest(
      { socketPath: mesh.ca.adminSocket, path: '/metrics' },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
      },
    );
    asking.on('error', reject);
    asking.end();
  });
}

test('an operator mints on the record, and the command verifies', async () => {
  const named = ['--entry', entryId, '--audience', 'orders'];
  const minted = await runSignet(['jwt', 'mint', ...named, '--socket', mesh.ca.adminSocket]);
  expect(minted).toMatchObject({ code: 0, stderr: '' });
  const token = minted.stdout.trim();
  const { records } = await mesh.admin.audit({ from: -2 });
  expect(records).toMatchObject([
    { type: 'jwt.issued', actor: { kind: 'admin', uid: process.getuid?.() }, token: { entryId } },
    { type: 'admin.call', path: '/v1/jwt-svids' },
  ]);

  const bundle = join(mesh.directory, 'bundle.json');
  await writeFile(bundle, await mesh.admin.bundle());
  const by = ['--bundle', bundle, '--trust-domain', 'mesh.test'];
  const verify = (audience: string): ReturnType<typeof runSignet> =>
    runSignet(['jwt', 'verify', ...by, '--audience', audience, token]);
  expect(await verify('orders')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('spiffe://mesh.test/web'),
  });
  expect(await verify('else')).toMatchObject({ code: 2, stderr: expect.stringContaining('aud') });
});
