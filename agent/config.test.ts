import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { parseAgentConfig, readJoinToken } from './config.ts';

const pin = 'ab'.repeat(32);
const base = (lines: Record<string, string> = {}): string =>
  Object.entries({
    trustDomain: 'mesh.test',
    ca: `{ address: "127.0.0.1:7443", rootSha256: ${pin} }`,
    join: '{ token: t }',
    ...lines,
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');

test('a config with its defaults', () => {
  expect(parseAgentConfig(base(), 'a.yaml')).toEqual({
    trustDomain: 'mesh.test',
    ca: {
      address: { host: '127.0.0.1', port: 7443 },
      trust: { kind: 'root_sha256', sha256: pin },
    },
    socket: '/run/signet/agent.sock',
    join: { kind: 'text', token: 't' },
    logLevel: 'info',
  });
});

test('a node may be attested by its certificate instead, and by one thing only', () => {
  const attest = '{ x509pop: { certificate: /m.pem, key: /m.key } }';
  const lines = base({ attest }).replace('join: { token: t }\n', '');
  expect(parseAgentConfig(lines, 'a.yaml')).toMatchObject({
    attest: { x509pop: { certificate: '/m.pem', key: '/m.key' } },
  });
  for (const text of [base({ attest }), base().replace('join: { token: t }\n', '')]) {
    expect(() => parseAgentConfig(text, 'a.yaml')).toThrow('give either join or attest');
  }
});

test('a pin may be written as OpenSSL prints it', () => {
  const printed = (pin.toUpperCase().match(/../g) ?? []).join(':');
  const config = parseAgentConfig(
    base({ ca: `{ address: "ca:7443", rootSha256: "${printed}" }` }),
    'a.yaml',
  );
  expect(config.ca.trust).toEqual({ kind: 'root_sha256', sha256: pin });
});

test.for([
  ['trustDomain', { trustDomain: 'Mesh.test' }, 'is not a trust domain'],
  ['ca', { ca: '{ address: "a:1" }' }, 'give either rootSha256 or bundle'],
  ['ca', { ca: `{ address: "a:1", rootSha256: ${pin}, bundle: /b }` }, 'give either'],
  ['ca.rootSha256', { ca: '{ address: "a:1", rootSha256: abcd }' }, 'is not a SHA-256 in hex'],
  ['ca.address', { ca: `{ address: a, rootSha256: ${pin} }` }, 'is not an address'],
  ['join', { join: '{}' }, 'give one of token, tokenFile or tokenEnv'],
  ['join', { join: '{ token: a, tokenEnv: B }' }, 'give one of'],
  ['socket', { socket: `/${'x'.repeat(107)}` }, 'the system allows 107'],
  ['sockets', { sockets: '/a' }, 'unknown key'],
  ['logLevel', { logLevel: 'loud' }, 'expected one of'],
] as const)('a fault in %s is named', ([path, lines, reason]) => {
  try {
    parseAgentConfig(base(lines), 'a.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.faults.map((fault) => fault.path)).toEqual([path]);
    expect(error.message).toContain(reason);
    return;
  }
  throw new Error('accepted');
});

test('the token comes from the config, a file or the environment, without its newline', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'token-'));
  try {
    const path = join(directory, 'token');
    writeFileSync(path, 'secret\n');
    expect(await readJoinToken({ kind: 'text', token: 't' }, {})).toBe('t');
    expect(await readJoinToken({ kind: 'file', path }, {})).toBe('secret');
    expect(await readJoinToken({ kind: 'environment', name: 'T' }, { T: 'e' })).toBe('e');
    writeFileSync(path, '\n');
    await expect(readJoinToken({ kind: 'file', path }, {})).rejects.toThrow(
      `no join token in ${path}`,
    );
    await expect(readJoinToken({ kind: 'environment', name: 'T' }, {})).rejects.toMatchObject({
      code: 'join_token_missing',
      kind: 'failed_precondition',
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
