import { expect, test } from 'vitest';
import { ConfigError } from '../core/index.ts';
import { parseProxyConfig } from './config.ts';
import { chainsOf } from './listener-config.ts';

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

test('what may become a tunnel is stated by the listener', () => {
  const routes = '    routes: [ { prefix: /, cluster: app } ]\n';
  const tunnels = `    upgrades: [websocket, foo]\n    connect: [ { authority: "db.mesh.test:5432", cluster: app } ]\n`;
  const [listener] = parseProxyConfig(good.replace(routes, routes + tunnels), 'x').listeners;
  expect(listener).toMatchObject({
    upgrades: ['websocket', 'foo'],
    connect: [{ authority: 'db.mesh.test:5432', cluster: 'app' }],
  });
});

test('CONNECT may be dialled, over HTTP/2 too and whatever else its cluster speaks', () => {
  const text = good
    .replace('protocol: http1', 'protocol: http2')
    .replace(
      '    routes: [',
      '    connect: [ { authority: "a:1", cluster: app, dial: true } ]\n    routes: [',
    )
    .replace('  - name: app\n', '  - name: app\n    protocol: http2\n');
  expect(parseProxyConfig(text, 'x').listeners[0]?.connect).toEqual([
    { authority: 'a:1', cluster: 'app', dial: true },
  ]);
});

test('CONNECT is never dialled to wherever its client was going', () => {
  const text = `${good}  - name: on
    endpoints: original
`.replace(
    '    routes: [',
    '    connect: [ { authority: "a:1", cluster: on, dial: true } ]\n    routes: [',
  );
  expect(() => parseProxyConfig(text, 'x')).toThrow('its cluster needs endpoints');
});

test('a route says how long a request and each try of it may take', () => {
  const text = good.replace('cluster: app } ]', 'cluster: app, timeout: 5s, perTryTimeout: 2s } ]');
  expect(parseProxyConfig(text, 'x').listeners[0]?.routes).toEqual([
    { prefix: '/', cluster: 'app', timeout: 5000, perTryTimeout: 2000 },
  ]);
});

test('gRPC-Web is what a listener says that it takes', () => {
  const text = good
    .replace('    routes: [', '    grpcWeb: true\n    routes: [')
    .replace('  - name: app\n', '  - name: app\n    protocol: http2\n');
  expect(parseProxyConfig(text, 'x').listeners[0]).toMatchObject({ grpcWeb: true });
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
  [
    'an upgrade to HTTP that no route sees',
    '    routes: [',
    '    upgrades: [h2c]\n    routes: [',
    'HTTP and TLS are not upgraded to',
  ],
  [
    'an upgrade to what is no token',
    '    routes: [',
    '    upgrades: ["Web Socket"]\n    routes: [',
    'one token in lower case',
  ],
  [
    'CONNECT to nowhere',
    '    routes: [',
    '    connect: [ { authority: "a:1", cluster: ap } ]\n    routes: [',
    'there is no cluster ap',
  ],
  [
    'CONNECT without a port',
    '    routes: [',
    '    connect: [ { authority: a, cluster: app } ]\n    routes: [',
    'an authority is host:port',
  ],
  [
    'CONNECT that HTTP/2 would send on',
    '    protocol: http1\n',
    '    protocol: http2\n    connect: [ { authority: "a:1", cluster: app } ]\n',
    'an http2 listener sends no CONNECT on; write dial: true',
  ],
  [
    'CONNECT on a relay',
    '    protocol: tcp\n',
    '    protocol: tcp\n    connect: []\n',
    'a tcp listener knows no CONNECT',
  ],
  [
    'an upgrade on a relay',
    '    protocol: tcp\n',
    '    protocol: tcp\n    upgrades: []\n',
    'a tcp listener has no upgrades',
  ],
  [
    'gRPC-Web on a relay',
    '    protocol: tcp\n',
    '    protocol: tcp\n    grpcWeb: true\n',
    'a tcp listener knows no gRPC',
  ],
  [
    'gRPC-Web that reaches no gRPC',
    '    routes: [',
    '    grpcWeb: true\n    routes: [',
    'it needs a route to a cluster with protocol: http2',
  ],
  ['two of a name', 'name: database', 'name: inbound', 'inbound is there twice'],
  ['an unknown protocol', 'protocol: tcp', 'protocol: udp', 'listeners[1].protocol'],
  ['an unknown key', 'node: { id', 'nod: {}\nnode: { id', 'nod: unknown key'],
  [
    'a try as long as all tries',
    'cluster: app } ]',
    'cluster: app, timeout: 5s, perTryTimeout: 5s } ]',
    'it is shorter than timeout',
  ],
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

const chained = `node: { id: web-1 }
sds: { socket: /run/signet/agent.sock }
connectionsMax: 5000
listeners:
  - name: inbound
    address: 0.0.0.0:15443
    reusePort: true
    connectionsPerSourceMax: 100
    proxyProtocol: { from: [10.0.0.0/8, "fd00::/8"] }
    filterChains:
      - name: orders
        match: { serverNames: [orders.mesh.test, "*.orders.mesh.test"], alpn: [http/1.1], sources: [10.0.0.0/8] }
        tls: { allow: ["spiffe://mesh.test/web"] }
        protocol: http1
        routes: [ { prefix: /, cluster: app } ]
      - name: old
        match: { destinations: [10.1.2.3], destinationPorts: [15443] }
        mode: permissive
        tls: { allow: ["spiffe://mesh.test/*"] }
        protocol: tcp
        cluster: app
        serverFirstPorts: [15443]
  - name: local
    address: unix:/run/signet/local.sock
    mode: off
    protocol: tcp
    cluster: app
clusters:
  - name: app
    endpoints: ["127.0.0.1:8080"]
`;

test('filter chains are read in their order, and a listener without them is its only one', () => {
  const { connectionsMax, listeners } = parseProxyConfig(chained, 'proxy.yaml');
  const [inbound, local] = listeners;
  if (inbound === undefined || local === undefined) throw new Error('there are two listeners');
  expect(connectionsMax).toBe(5000);
  const [orders, old] = chainsOf(inbound);
  expect(orders).toMatchObject({ name: 'orders', mode: 'strict', protocol: 'http1' });
  expect(old).toMatchObject({ name: 'old', mode: 'permissive', cluster: 'app' });
  expect(local.address).toEqual({ path: '/run/signet/local.sock' });
  expect(chainsOf(local)).toMatchObject([{ name: 'local', mode: 'off', match: {} }]);
});

test.for([
  ['TLS without mode: off', '    mode: off\n', '', 'state either tls or plaintext: true'],
  ['a mode that nobody knows', 'mode: off', 'mode: maybe', 'listeners[1].mode'],
  ['permissive without tls', 'mode: off', 'mode: permissive', 'mode: permissive needs tls'],
  ['strict without tls', 'mode: off', 'mode: strict', 'mode: strict needs tls'],
  [
    'off with tls',
    'mode: permissive',
    'mode: off',
    'listeners[0].filterChains[1].mode: mode: off has no tls',
  ],
  [
    'a mode beside plaintext',
    '    mode: off\n',
    '    mode: off\n    plaintext: true\n',
    'mode says it already',
  ],
  [
    'a server name in plaintext',
    '        tls: { allow: ["spiffe://mesh.test/web"] }\n',
    '        plaintext: true\n',
    'are known of TLS alone',
  ],
  ['a server name in capital letters', '[orders.mesh', '[Orders.mesh', 'is written in lower case'],
  ['a range that is none', '[10.1.2.3]', '[10.1.2.3/33]', 'write an IP address or a range'],
  ['an empty match', 'sources: [10.0.0.0/8] }', 'sources: [] }', 'an empty list would match'],
  [
    'a protocol beside chains',
    '    filterChains:\n',
    '    protocol: tcp\n    filterChains:\n',
    'it belongs into the filter chains',
  ],
  [
    'a PROXY header to a cluster of requests',
    'endpoints: ["127.0.0.1:8080"]',
    'endpoints: ["127.0.0.1:8080"]\n    proxyProtocol: v2',
    'clusters[0].proxyProtocol: requests of several clients share a connection',
  ],
  [
    'requests to where they were going',
    'endpoints: ["127.0.0.1:8080"]',
    'endpoints: original',
    'clusters[0].endpoints: requests are routed',
  ],
  [
    'a relay to where it was going of a listener that does not ask',
    '    mode: off\n    protocol: tcp\n    cluster: app\nclusters:\n',
    '    mode: off\n    protocol: tcp\n    cluster: onward\nclusters:\n  - name: onward\n    endpoints: original\n',
    'clusters[0].endpoints: its listeners need originalDestination: true',
  ],
  [
    'auto without routes',
    '    mode: off\n    protocol: tcp',
    '    mode: off\n    protocol: auto',
    'an auto listener needs routes',
  ],
  [
    'opaque ports of a relay',
    '    mode: off\n',
    '    mode: off\n    opaquePorts: [9999]\n',
    'only protocol: auto looks',
  ],
  [
    'opaque ports without a cluster to relay to',
    '    mode: off\n    protocol: tcp\n    cluster: app\n',
    '    mode: off\n    protocol: auto\n    routes: [ { prefix: /, cluster: app } ]\n    serverFirstPorts: [25]\n',
    'name a cluster to relay them to',
  ],
  [
    'server-first ports where TLS alone is taken',
    'mode: permissive',
    'mode: strict',
    'only protocol: auto looks',
  ],
  ['two chains of a name', '- name: old', '- name: orders', 'orders is there twice'],
  [
    'a chain to nowhere',
    'cluster: app } ]',
    'cluster: ap } ]',
    'filterChains[0].routes[0].cluster',
  ],
  [
    'neither protocol nor chains',
    '    protocol: tcp\n    cluster: app\nclusters',
    'clusters',
    'state a protocol, or filterChains',
  ],
  [
    'a PROXY header on a Unix socket',
    '    mode: off\n',
    '    mode: off\n    proxyProtocol: { from: [10.0.0.0/8] }\n',
    'a Unix socket has no addresses',
  ],
  [
    'a relative Unix socket',
    'unix:/run/signet/local.sock',
    'unix:local.sock',
    'listeners[1].address',
  ],
] as const)('%s is refused and named', ([, from, to, message]) => {
  expect(chained).toContain(from);
  const text = chained.replace(from, to);
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow(ConfigError);
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow(message);
});

test('HTTP/2 is stated for listeners and clusters, each for itself', () => {
  const text = good
    .replace('protocol: http1', 'protocol: http2')
    .replace('endpoints:', 'protocol: http2\n    endpoints:');
  const config = parseProxyConfig(text, 'proxy.yaml');
  expect(config.listeners[0]).toMatchObject({ protocol: 'http2' });
  expect(config.clusters[0]).toMatchObject({ protocol: 'http2' });
  expect(parseProxyConfig(good, 'proxy.yaml').clusters[0]).toMatchObject({ protocol: 'http1' });
});

test.for([
  [
    'connect: [{ authority: "db.test:1", cluster: app }]',
    'an http2 listener sends no CONNECT on; write dial: true',
  ],
] as const)('an http2 listener with %s is refused', ([line, fault]) => {
  const text = good.replace('protocol: http1', `protocol: http2\n    ${line}`);
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow(fault);
  const http1 = good.replace('protocol: http1', `protocol: http1\n    ${line}`);
  expect(() => parseProxyConfig(http1, 'proxy.yaml')).not.toThrow();
});

test('CONNECT is not sent to a cluster that speaks HTTP/2', () => {
  const text = good
    .replace(
      'protocol: http1',
      'protocol: http1\n    connect: [{ authority: "db.test:1", cluster: app }]',
    )
    .replace('endpoints:', 'protocol: http2\n    endpoints:');
  expect(() => parseProxyConfig(text, 'proxy.yaml')).toThrow('carries no CONNECT here');
});

test('workers need ports that can be shared and a log that can be', () => {
  const workers = (text: string): string => `workers: 2\naccessLog: off\n${text}`;
  expect(parseProxyConfig(workers(good), 'proxy.yaml').workers).toBe(2);
  expect(() => parseProxyConfig(`workers: 2\n${good}`, 'proxy.yaml')).toThrow('need a file');
  const onPort0 = workers(good.replace('127.0.0.1:15432', '127.0.0.1:0'));
  expect(() => parseProxyConfig(onPort0, 'proxy.yaml')).toThrow('share a TCP port that is named');
  expect(() => parseProxyConfig(workers(chained), 'proxy.yaml')).toThrow('listeners[1].address');
});
