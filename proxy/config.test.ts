import { expect, test } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { parseProxyConfig } from './config.ts';

const good = `node: { id: web-1, cluster: web }
sds: { socket: /run/signet/agent.sock }
listeners:
  - name: inbound
    address: 127.0.0.1:15443
    tls: { allow: ["spiffe://mesh.test/web"] }
    protocol: http1
    routes: [ { prefix: /, cluster: app } ]
  - name: database
    address: 127.0.0.1:15432
    plaintext: true
    protocol: tcp
    cluster: app
clusters:
  - name: app
    endpoints: ["127.0.0.1:8080"]
`;

test('a config is read, with its defaults', () => {
  const config = parseProxyConfig(good, 'proxy.yaml');
  expect(config).toMatchObject({
    sds: { certificate: 'default', validation: 'ALL' },
    admin: { host: '127.0.0.1', port: 15_000 },
    accessLog: 'stdout',
    logLevel: 'info',
    timeouts: { connect: 5000, response: 60_000, idle: 75_000, upstreamIdle: 30_000 },
  });
  expect(config.listeners[0]?.connectionsMax).toBe(20_000);
});

test.for([
  ['neither tls nor plaintext', '    plaintext: true\n', '', 'state either tls or plaintext: true'],
  [
    'both',
    '    plaintext: true\n',
    '    plaintext: true\n    tls: { allow: ["spiffe://a/b"] }\n',
    'state either',
  ],
  ['plaintext: false', 'plaintext: true', 'plaintext: false', 'listeners[1].plaintext'],
  ['an empty list of peers', '["spiffe://mesh.test/web"]', '[]', 'the list of peers is empty'],
  ['a peer that is no ID', 'spiffe://mesh.test/web', 'web', 'peer "web" is not a SPIFFE ID'],
  ['a route to nowhere', 'cluster: app } ]', 'cluster: ap } ]', 'there is no cluster ap'],
  ['a relay to nowhere', '    cluster: app\n', '    cluster: ap\n', 'there is no cluster ap'],
  ['a relay without a cluster', '    cluster: app\n', '', 'a tcp listener needs a cluster'],
  [
    'http1 without routes',
    '    routes: [ { prefix: /, cluster: app } ]\n',
    '',
    'an http1 listener needs routes',
  ],
  ['two of a name', 'name: database', 'name: inbound', 'inbound is there twice'],
  ['an unknown protocol', 'protocol: tcp', 'protocol: udp', 'listeners[1].protocol'],
  ['an unknown key', 'node: { id', 'nod: {}\nnode: { id', 'nod: unknown key'],
  ['a prefix without slash', 'prefix: /,', 'prefix: orders,', 'a prefix begins with /'],
  [
    'an endpoint without port',
    '"127.0.0.1:8080"',
    '"127.0.0.1:0"',
    'an endpoint needs a host and a port',
  ],
  ['tls without sds', 'sds: { socket: /run/signet/agent.sock }\n', '', 'tls needs an sds socket'],
  [
    'a relative access log',
    'listeners:',
    'accessLog: log/x\nlisteners:',
    'write stdout, off or an absolute path',
  ],
] as const)('%s is refused and named', ([, from, to, message]) => {
  expect(good).toContain(from);
  const text = good.replace(from, to);
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow(ConfigError);
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow(message);
});
