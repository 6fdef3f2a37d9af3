/** PROXY headers, both versions and both ways, with haproxy: it tells us of the client, and we tell it. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { freePorts } from '../../core/index.ts';
import { ProxyMesh, RawClient } from '../fakes/proxy-mesh.ts';
import { findRivals, startProgram } from './http1-proxies.ts';
import { testWith } from './peers.ts';

const rivals = findRivals();
let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

testWith(
  rivals,
  'haproxy',
  'the client’s address comes through: from haproxy to us, and from us to haproxy',
  async ({ haproxy }) => {
    // What the last of the row is told, as a text: version 1 says it in words.
    const told = await mesh.server((socket) => {
      let text = '';
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        if (text.endsWith('hello')) socket.end(`told ${text}`);
      });
    });
    for (const version of ['v1', 'v2'] as const) {
      const [toUs = 0, fromUs = 0] = await freePorts(2);
      const clusters = [
        { name: 'told', endpoints: [`127.0.0.1:${told.port}`], proxyProtocol: 'v1' },
        { name: 'haproxy', endpoints: [`127.0.0.1:${fromUs}`], proxyProtocol: version },
      ];
      const listener = { address: '127.0.0.1:0', plaintext: true, protocol: 'tcp' };
      const sidecar = await mesh.sidecar(undefined, {
        listeners: [
          {
            ...listener,
            name: 'behind',
            cluster: 'told',
            proxyProtocol: { from: ['127.0.0.1/32'] },
          },
          { ...listener, name: 'before', cluster: 'haproxy' },
        ],
        clusters,
        timeouts: { drain: '50ms' },
      });
      const config = join(mesh.directory, `haproxy-${version}.cfg`);
      const send = version === 'v1' ? 'send-proxy' : 'send-proxy-v2';
      writeFileSync(
        config,
        `defaults
  mode tcp
  timeout connect 5s
  timeout server 5s
  timeout client 5s
listen to_us
  bind 127.0.0.1:${toUs}
  server app 127.0.0.1:${sidecar.port('behind')} ${send}
listen from_us
  bind 127.0.0.1:${fromUs} accept-proxy
  server app 127.0.0.1:${told.port} send-proxy
`,
      );
      await startProgram(mesh.scope, haproxy, ['-db', '-f', config], [toUs]);
      for (const port of [toUs, sidecar.port('before')]) {
        const client = new RawClient(port);
        client.send('hello');
        await client.read((text) => text.endsWith('hello'));
        const own = client.socket.localPort ?? 0;
        expect(client.text).toBe(`told PROXY TCP4 127.0.0.1 127.0.0.1 ${own} ${port}\r\nhello`);
        client.close();
      }
    }
  },
  'apt-get install haproxy',
);
