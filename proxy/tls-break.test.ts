/** TLS that ends without `close_notify`, between two sidecars: whoever cuts TCP cannot make half a message look whole. */

import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../test/fakes/eventually.ts';
import { ProxyMesh, RawClient, type TestSidecar, until } from '../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

/** A wire between the sidecars that can be ended on both sides, as anybody on the way can. */
class Wire {
  readonly #ends: Socket[] = [];

  async to(port: number): Promise<number> {
    const server = await mesh.server((near) => {
      const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      this.#ends.push(near, far);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('error', () => {});
        from.on('data', (bytes) => to.write(bytes));
        from.on('end', () => to.end());
      }
    });
    return server.port;
  }

  /** A FIN both ways, behind what was sent. */
  cut(): void {
    for (const end of this.#ends) end.end();
  }
}

const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const lanes = [
  {
    name: 'a response that ends with its connection',
    protocol: 'http1',
    // Another sidecar would pass it on in chunks, which tell their own end.
    beyond: 'tcp',
    asks: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    answers: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf',
  },
  {
    name: 'a tunnel',
    protocol: 'http1',
    beyond: 'http1',
    asks: `GET / HTTP/1.1\r\nHost: a\r\n${upgrade}`,
    answers: `HTTP/1.1 101 Switching Protocols\r\n${upgrade}half`,
  },
  { name: 'a relay', protocol: 'tcp', beyond: 'tcp', asks: 'hello', answers: 'half' },
] as const;

/** A client that has read as far as `half`, with all that is between it and the server. */
async function begun(
  lane: (typeof lanes)[number],
): Promise<{ client: RawClient; server: Socket; wire: Wire; web: TestSidecar }> {
  const wire = new Wire();
  const app = await mesh.server((socket) => {
    socket.once('data', () => socket.write(lane.answers));
  });
  const { port, web } = await mesh.pair(app.port, {
    protocol: lane.protocol,
    beyond: lane.beyond,
    through: (to) => wire.to(to),
  });
  const client = new RawClient(port);
  client.send(lane.asks);
  // HTTP/1.1 without a length goes on in chunks, with a line behind each.
  await client.read((text) => /half(?:\r\n)?$/.test(text));
  const [server] = app.sockets;
  if (server === undefined) throw new Error('the server was not reached');
  return { client, server, wire, web };
}

describe.for(lanes)('$name', (lane) => {
  test('that is cut on the way is broken off, on both sides of the cut', async () => {
    const { client, server, wire, web } = await begun(lane);
    let isReset = false;
    server.on('error', () => {
      isReset = true;
    });
    wire.cut();
    await until(() => client.isClosed || client.isEnded);
    expect(client.isEnded).toBe(false);
    await until(() => server.destroyed);
    // Of an answer that is given nobody tells the server how it was taken, save by leaving.
    if (lane.answers.includes('200 OK')) return;
    expect(isReset).toBe(true);
    if (lane.protocol === 'tcp') return;
    await eventually(async () => {
      const { listeners } = await web.stats();
      expect(listeners['out']).toMatchObject({ responsesCutOff: 1, tunnelsActive: 0 });
    });
  });

  test('that its server ends, ends', async () => {
    const { client, server, web } = await begun(lane);
    server.end(' and whole');
    await client.readAll();
    expect(client.isEnded).toBe(true);
    expect(client.text).toContain(' and whole');
    expect((await web.stats()).listeners['out']).toMatchObject({ responsesCutOff: 0 });
    client.close();
  });
});
