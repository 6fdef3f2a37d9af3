/** JWT-SVIDs of a running CA against the standard, clause by clause, judged by `jose` beside our own verifier. */

import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/wait.ts';
import { systemClock } from '../../core/index.ts';
import { bundleSetOf, type VerifyJwtSvidOptions, verifyJwtSvid } from '../../spiffe/index.ts';
import type { TestNode } from './ca-client.ts';
import { CaFixture } from './ca-fixture.ts';

const issuer = 'https://oidc.mesh.test';
let mesh: CaFixture;
let node: TestNode;
let entryId: string;
let front: Server;
let theirKeys: ReturnType<typeof createRemoteJWKSet>;
let bundles: VerifyJwtSvidOptions['bundles'];

beforeAll(async () => {
  mesh = await CaFixture.begin();
  await mesh.restart({ oidc: { listen: '127.0.0.1:0', issuer } });
  node = await mesh.join();
  entryId = await mesh.webEntry(node);
  bundles = bundleSetOf([await mesh.bundle()]);
  // In the place of the front that ends TLS: `jose` follows the discovery document to the keys.
  front = createServer((request, response) => {
    void fetch(`http://127.0.0.1:${mesh.ca.oidcPort}${request.url ?? '/'}`)
      .then((answer) => answer.text())
      .then((text) => response.end(text));
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = front.address();
  const origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const found = await fetch(`${origin}/.well-known/openid-configuration`);
  const document: { jwks_uri: string } = JSON.parse(await found.text());
  theirKeys = createRemoteJWKSet(new URL(new URL(document.jwks_uri).pathname, origin));
});
afterAll(async () => {
  node.close();
  front.closeAllConnections();
  front.close();
  await mesh.end();
});

function mint(audience: readonly string[] = ['orders'], ttlMs = 0n): Promise<string> {
  return waitFor('a token', 5000, async () => {
    const { items } = await node.mint([{ entryId, audience: [...audience], ttlMs, selectors: [] }]);
    const outcome = items[0]?.outcome;
    return outcome?.$case === 'minted' ? outcome.value.token : undefined;
  });
}

function ours(token: string, audience = 'orders', atMs = systemClock.wallMs()): string {
  const verdict = verifyJwtSvid({ token, audience, bundles, atMs });
  return verdict.kind === 'valid' ? verdict.id : verdict.code;
}

async function theirs(token: string, audience = 'orders', atMs = systemClock.wallMs()) {
  const options = { issuer, audience, algorithms: ['ES256'], currentDate: new Date(atMs) };
  return (await jwtVerify(token, theirKeys, options)).payload.sub;
}

const id = 'spiffe://mesh.test/web';
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test('J-1: a token is a compact JWS, and the JSON form of the same token is refused', async () => {
  const token = await mint();
  expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  expect([ours(token), await theirs(token)]).toEqual([id, id]);
  const [protectedPart = '', payload = '', signature = ''] = token.split('.');
  expect(ours(JSON.stringify({ protected: protectedPart, payload, signature }))).toBe('jwt_form');
});

test('J-2: it is signed by one of the nine algorithms; EdDSA, HS256 and none are refused', async () => {
  const token = await mint();
  expect(decodeProtectedHeader(token).alg).toMatch(/^(?:RS|ES|PS)(?:256|384|512)$/);
  const [header = '', claims = ''] = token.split('.');
  const { kid } = decodeProtectedHeader(token);
  const { privateKey } = generateKeyPairSync('ed25519');
  const forged = (alg: string, signatureOf: (signed: string) => Buffer): string => {
    const signed = `${encode({ alg, kid, typ: 'JWT' })}.${claims}`;
    return `${signed}.${signatureOf(signed).toString('base64url')}`;
  };
  const bad = [
    forged('EdDSA', (signed) => sign(null, Buffer.from(signed), privateKey)),
    forged('HS256', (signed) => createHmac('sha256', header).update(signed).digest()),
    forged('none', () => Buffer.from('x')),
  ];
  expect(bad.map((each) => ours(each))).toEqual(bad.map(() => 'jwt_algorithm'));
  for (const each of bad) await expect(theirs(each)).rejects.toThrow();
  expect([ours(token), await theirs(token)]).toEqual([id, id]);
});

test('J-3: its header has alg, kid and typ alone, kid always; any other member is refused', async () => {
  const tokens = [await mint(), await mint(['a', 'orders'])];
  for (const token of tokens) {
    expect(decodeProtectedHeader(token)).toEqual({
      alg: 'ES256',
      kid: expect.stringMatching(/./),
      typ: 'JWT',
    });
    expect(ours(token)).toBe(id);
  }
  const [, claims = '', signature = ''] = tokens[0]?.split('.') ?? [];
  const header = decodeProtectedHeader(tokens[0] ?? '');
  expect(ours(`${encode({ ...header, crit: ['x'] })}.${claims}.${signature}`)).toBe('jwt_header');
});

test('J-4: sub, aud and exp say who, for whom and until when, with a jti of its own always', async () => {
  const token = await mint(['orders', 'stock'], 20_000n);
  const { sub, aud, exp = 0, iat = 0, jti } = decodeJwt(token);
  expect({ sub, aud, life: exp - iat }).toEqual({ sub: id, aud: ['orders', 'stock'], life: 20 });
  expect(jti).toMatch(/^[0-9a-f]{32}$/);
  expect(decodeJwt(await mint()).jti).not.toBe(jti);
  for (const audience of ['orders', 'stock']) {
    expect([ours(token, audience), await theirs(token, audience)]).toEqual([id, id]);
  }
  expect(ours(token, 'else')).toBe('jwt_audience');
  await expect(theirs(token, 'else')).rejects.toThrow('aud');
  const endMs = exp * 1000;
  expect([ours(token, 'orders', endMs - 1), ours(token, 'orders', endMs)]).toEqual([
    id,
    'jwt_expired',
  ]);
  await expect(theirs(token, 'orders', endMs)).rejects.toThrow('exp');
});

test('J-5: each key of the bundle has its use and its kid, and the kid of a token is among them', async () => {
  const { keys }: { keys: { use: string; kid?: string }[] } = JSON.parse(await mesh.admin.bundle());
  const jwtKeys = keys.filter(({ use }) => use === 'jwt-svid');
  expect(new Set(keys.map(({ use }) => use))).toEqual(new Set(['x509-svid', 'jwt-svid']));
  for (const { kid } of jwtKeys) expect(kid).toMatch(/./);
  const { kid } = decodeProtectedHeader(await mint());
  expect(jwtKeys.map((key) => key.kid)).toContain(kid);
});
