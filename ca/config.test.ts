import { describe, expect, test } from 'vitest';
import { parseCaConfig } from './config.ts';

const least = 'trustDomain: mesh.test\ndata: /var/lib/signet/ca\nkeyEncryptionKey: { env: KEK }\n';

test('everything that has a good default has one', () => {
  expect(parseCaConfig(least, 'ca.yaml')).toEqual({
    trustDomain: 'mesh.test',
    data: '/var/lib/signet/ca',
    listen: { host: '::', port: 7443 },
    adminSocket: '/var/lib/signet/ca/admin.sock',
    keyEncryptionKey: { env: 'KEK' },
    lifetimes: {
      rootMs: 365 * 86_400_000,
      issuingMs: 86_400_000,
      x509SvidMs: 3_600_000,
      nodeSvidMs: 3_600_000,
      backdateMs: 30_000,
    },
    limits: {
      signingPerSecond: 2000,
      signingPerNodePerSecond: 400,
      attestationsPerSecond: 200,
      queue: 4096,
    },
    clockToleranceMs: 5000,
    ticketEpochMs: 43_200_000,
    attestors: {},
    jwt: { ttlMs: 300_000, ttlMsMax: 3_600_000 },
    rotation: { threshold: 1, deadlineMs: 3_600_000, automatic: true },
    logLevel: 'info',
  });
});

test('what is given is taken', () => {
  const text = `${least}listen: "127.0.0.1:0"\nadminSocket: /run/a.sock\nlifetimes: { x509Svid: 10s, issuing: 20s }\n`;
  expect(parseCaConfig(text, 'ca.yaml')).toMatchObject({
    listen: { host: '127.0.0.1', port: 0 },
    adminSocket: '/run/a.sock',
    lifetimes: { x509SvidMs: 10_000, issuingMs: 20_000, rootMs: 365 * 86_400_000 },
  });
});

const role = (id: string): string =>
  `admin:\n  listen: 127.0.0.1:0\n  roles:\n    - spiffeId: ${id}\n      role: viewer\n`;

test.for(['spiffe://mesh.test/ops', 'spiffe://mesh.test/*'])('a role may be of %s', (id) => {
  expect(parseCaConfig(least + role(id), 'ca.yaml').admin?.roles).toHaveLength(1);
});

describe('a fault names its line, its key and the reason', () => {
  test.for([
    ['trustDomian: x\n', 'ca.yaml:4:1: trustDomian: unknown key'],
    ['listen: 7443\n', 'ca.yaml:4:9: listen:'],
    ['listen: "localhost"\n', 'write host:port'],
    ['lifetimes: { x509Svid: 1hour }\n', 'lifetimes.x509Svid: "1hour" is not a duration'],
    ['lifetimes: { x509svid: 1h }\n', 'lifetimes.x509svid: unknown key'],
    ['adminSocket: admin.sock\n', 'is not absolute'],
    [`adminSocket: /${'a'.repeat(110)}\n`, 'the system allows 107'],
    ['logLevel: loud\n', 'logLevel'],
    [
      role('spiffe://other.test/ops'),
      'ca.yaml:7:17: admin.roles[0].spiffeId: other.test is not this CA',
    ],
    [role('spiffe://other.test/*'), 'ca.yaml:7:17: admin.roles[0].spiffeId: other.test is not'],
  ] as const)('%s', ([line, text]) => {
    expect(() => parseCaConfig(least + line, 'ca.yaml')).toThrow(text);
  });

  test.for([
    ['trustDomain: Mesh\ndata: /d\nkeyEncryptionKey: { env: K }', 'ca.yaml:1:14: trustDomain'],
    ['data: /d\nkeyEncryptionKey: { env: K }', 'trustDomain'],
    ['trustDomain: m\ndata: d\nkeyEncryptionKey: { env: K }', 'must be an absolute path'],
    ['trustDomain: m\ndata: /d', 'keyEncryptionKey: say where it is'],
    ['trustDomain: m\ndata: /d\nkeyEncryptionKey: secret', 'keyEncryptionKey: say where it is'],
    [`trustDomain: m\ndata: /${'d'.repeat(120)}\nkeyEncryptionKey: { env: K }`, 'set adminSocket'],
  ] as const)('%s', ([text, reason]) => {
    expect(() => parseCaConfig(text, 'ca.yaml')).toThrow(reason);
  });
});
