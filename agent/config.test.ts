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
      addresses: [{ host: '127.0.0.1', port: 7443 }],
      trust: { kind: 'root_sha256', sha256: pin },
    },
    cache: { kind: 'on', key: { kind: 'auto' } },
    workloadApi: { x509: true, jwt: true },
    socket: '/run/signet/agent.sock',
    adminSocket: '/run/signet/agent-admin.sock',
    join: { kind: 'text', token: 't' },
    workloadAttestors: { useMountinfo: false },
    sds: { aliases: new Map() },
    logLevel: 'info',
  });
});

test.for([
  ['beside its own socket', { socket: '/tmp/a/one.sock' }, '/tmp/a/one-admin.sock'],
  ['where it is told', { adminSocket: '/tmp/x.sock' }, '/tmp/x.sock'],
  ['nowhere', { adminSocket: 'off' }, undefined],
] as const)('operators are served %s', ([, lines, expected]) => {
  expect(parseAgentConfig(base(lines), 'a.yaml').adminSocket).toBe(expected);
});

test.for([
  ['cache.path', { cache: '{ path: /run/signet/a.cache }' }],
  ['cache.path', { cache: '{ path: /run/x/../signet/in/a.cache }' }],
  ['cache.key.file', { cache: '{ key: { file: /run/signet/a.key } }' }],
  ['cache.path', { socket: '/agent.sock' }],
] as const)('%s beside the socket, where containers may read it, is refused', ([path, lines]) => {
  expect(() => parseAgentConfig(base(lines), 'a.yaml')).toThrow(
    expect.objectContaining({ faults: [expect.objectContaining({ path })] }),
  );
});

test.for(['{ path: /run/signet-agent/a.cache, key: { file: /run/signet-agent/a.key } }', 'off'])(
  '%s is elsewhere, and taken',
  (cache) => {
    expect(parseAgentConfig(base({ cache }), 'a.yaml').socket).toBe('/run/signet/agent.sock');
  },
);

test('a socket whose neighbour would be too long asks for a path', () => {
  const socket = `/tmp/${'s'.repeat(97)}.sock`;
  expect(() => parseAgentConfig(base({ socket }), 'a.yaml')).toThrow('adminSocket');
  expect(parseAgentConfig(base({ socket, adminSocket: 'off' }), 'a.yaml').socket).toBe(socket);
});

test('attestors beside unix run only if they are named', () => {
  const given =
    '{ systemd: {}, docker: { env: [A] }, k8s: { kubelet: "https://n:10250", caFile: /ca } }';
  const config = parseAgentConfig(base({ workloadAttestors: given }), 'a.yaml');
  expect(config.workloadAttestors).toEqual({
    systemd: {},
    docker: { socket: '/var/run/docker.sock', env: ['A'] },
    k8s: {
      from: { kind: 'kubelet', url: 'https://n:10250' },
      node: { environment: 'NODE_NAME' },
      tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      caFile: '/ca',
      insecureSkipVerify: false,
      podWaitMs: 30_000,
    },
    useMountinfo: false,
  });
});

test.for([
  ['{ kubelet: "http://n:10255", caFile: /c }', 'is not an https URL'],
  ['{ caFile: /c }', 'give kubelet or apiServer'],
  ['{ kubelet: "https://n", apiServer: "https://s", caFile: /c }', 'give either kubelet or'],
  ['{ kubelet: "https://n" }', 'give either caFile or insecureSkipVerify'],
  ['{ kubelet: "https://n", caFile: /c, insecureSkipVerify: true }', 'give either caFile or'],
] as const)('k8s: %s is refused', ([k8s, reason]) => {
  expect(() => parseAgentConfig(base({ workloadAttestors: `{ k8s: ${k8s} }` }), 'a.yaml')).toThrow(
    reason,
  );
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
