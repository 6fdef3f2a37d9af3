/** Transparent interception: the kernel redirects what a workload sends, and the proxy learns where it was going. */

import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../programs.ts';
import { ProxyMesh, until } from '../fakes/proxy-mesh.ts';
import {
  createNetworkNamespace,
  lacksNetworkNamespaces,
  type NetworkNamespace,
} from './network-namespace.ts';
import { type ProxyProcess, startProxyProcess, writeProxyConfig } from './proxy-process.ts';

const port = 15_001;
// Whatever runs in this group is the proxy, whose own connections must not come back to it.
const proxyGroup = '1337';

describe.skipIf(lacksNetworkNamespaces())('in a network namespace with iptables', () => {
  let mesh: ProxyMesh;
  let network: NetworkNamespace;
  let proxy: ProxyProcess;

  beforeAll(async () => {
    mesh = await ProxyMesh.start();
    network = createNetworkNamespace(`signet-${process.pid}`);
    mesh.scope.onClose(() => network.delete());
    network.run(['ip', 'link', 'set', 'lo', 'up']);
    network.run(['ip', 'address', 'add', '10.99.0.9/32', 'dev', 'lo']);
    network.run(['ip', '-6', 'address', 'add', 'fd99::9/128', 'dev', 'lo', 'nodad']);
    for (const program of ['iptables', 'ip6tables']) {
      const nat = [program, '-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp'];
      network.run([...nat, '-m', 'owner', '--gid-owner', proxyGroup, '-j', 'RETURN']);
      network.run([...nat, '--dport', '8080:8081', '-j', 'REDIRECT', '--to-ports', String(port)]);
    }
    const config = writeProxyConfig(mesh, 'proxy.yaml', {
      listeners: [
        {
          name: 'in',
          address: `[::]:${port}`,
          originalDestination: true,
          filterChains: [
            {
              name: 'blocked',
              match: { destinationPorts: [8081] },
              plaintext: true,
              protocol: 'tcp',
              cluster: 'nowhere',
            },
            { name: 'onward', plaintext: true, protocol: 'tcp', cluster: 'onward' },
          ],
        },
      ],
      clusters: [
        { name: 'onward', endpoints: 'original' },
        { name: 'nowhere', endpoints: ['127.0.0.1:1'] },
      ],
    });
    const asProxy = [...network.enter, 'setpriv', '--regid', proxyGroup, '--clear-groups'];
    proxy = await startProxyProcess(mesh, config, asProxy);
    expect(proxy.log()).toContain('"adminPort"');
    await startServer();
  });
  afterAll(() => mesh.close());

  /** Says to whoever connects at which of its addresses it was reached, on both ports. */
  async function startServer(): Promise<void> {
    const script = `
      const answer = (socket) => socket.end('reached at ' + socket.localAddress);
      const server = (port) => require('node:net').createServer(answer).listen(port, '::', () => console.log(port));
      server(8080); server(8081);`;
    const [program, ...args] = [...network.enter, process.execPath, '-e', script];
    const child = spawn(program, args);
    mesh.scope.onClose(() => void child.kill('SIGKILL'));
    let out = '';
    child.stdout.on('data', (bytes) => {
      out += String(bytes);
    });
    await until(() => out.includes('8080') && out.includes('8081'));
  }

  /** What a workload reads that connects to `host`. */
  function ask(host: string, to = 8080): string {
    const script = `
      const socket = require('node:net').connect(${to}, '${host}');
      socket.on('error', (error) => console.log(error.code));
      socket.on('data', (bytes) => process.stdout.write(bytes));`;
    return network.run([process.execPath, '-e', script]).trim();
  }

  function stats(): { listeners: Record<string, Record<string, number>> } {
    const script = `fetch('http://127.0.0.1:${proxy.adminPort}/stats').then((a) => a.text()).then(console.log)`;
    return JSON.parse(network.run([process.execPath, '-e', script])) as ReturnType<typeof stats>;
  }

  test('a connection over IPv4 reaches where it was going, through the proxy', () => {
    expect(ask('10.99.0.9')).toBe('reached at ::ffff:10.99.0.9');
    expect(stats().listeners['in']).toMatchObject({ relays: 1 });
  });

  test.skipIf(findProgram('ip6tables') === undefined)('and so does one over IPv6', () => {
    expect(ask('fd99::9')).toBe('reached at fd99::9');
    expect(stats().listeners['in']).toMatchObject({ relays: 2 });
  });

  test('a filter chain is chosen by where it was going', () => {
    expect(ask('10.99.0.9', 8081)).toBe('');
    expect(stats().listeners['in']).toMatchObject({ relays: 2, relaysFailed: 1 });
  });

  test('who connects to the port of the proxy itself is not sent in a circle', async () => {
    const before = stats().listeners['in'] ?? {};
    const hosts = ['127.0.0.1', '::1', 'fd99::9'];
    for (const host of hosts) expect(ask(host, port)).toBe('');
    expect(stats().listeners['in']).toMatchObject({
      relays: before['relays'],
      connectionsAccepted: (before['connectionsAccepted'] ?? 0) + hosts.length,
    });
    await until(() => proxy.log().includes('was not redirected to us'));
  });
});
