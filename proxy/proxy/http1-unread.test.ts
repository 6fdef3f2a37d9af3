/** Answers of the proxy's own to a client that asks on and on, and reads them late or never. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../test/fakes/eventually.ts';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { ProxyMesh, RawClient, type TestSidecar } from '../../test/fakes/proxy-mesh.ts';

let mesh: ProxyMesh;
beforeAll(async () => {
  mesh = await ProxyMesh.start();
});
afterAll(() => mesh.close());

let clock: ManualClock;
let sidecar: TestSidecar;
beforeEach(async () => {
  clock = new ManualClock(Date.now());
  sidecar = await mesh.sidecar(
    undefined,
    {
      listeners: [
        {
          name: 'in',
          address: '127.0.0.1:0',
          plaintext: true,
          protocol: 'http1',
          routes: [{ prefix: '/nowhere', cluster: 'app' }],
        },
      ],
      clusters: [{ name: 'app', endpoints: ['127.0.0.1:1'] }],
      timeouts: { idle: `${idleMs}ms` },
    },
    clock,
  );
});

async function counters(): Promise<Record<string, number>> {
  return (await sidecar.stats()).listeners['in'] ?? {};
}

/** A client that has asked for more than all buffers on the way back can hold, and the answers that were made. */
async function pipelined(): Promise<{ client: RawClient; answered: number }> {
  const client = new RawClient(sidecar.port('in'));
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'.repeat(requests));
  let answered = 0;
  for (let same = 0; same < 10; same += 1) {
    const now = (await counters())['localReplies'] ?? 0;
    if (now !== answered || now === 0) same = 0;
    answered = now;
  }
  return { client, answered };
}

test('a client that reads none is not read on, and is left after its time', async () => {
  const { client, answered } = await pipelined();
  expect(answered).toBeLessThan(requests);
  await clock.advance(2 * idleMs);
  await eventually(async () =>
    expect(await counters()).toMatchObject({ readTimeouts: 1, connectionsActive: 0 }),
  );
  client.close();
});

test('a client that reads late gets every answer, and is idle after the last', async () => {
  const { client, answered } = await pipelined();
  expect(answered).toBeLessThan(requests);
  client.socket.resume();
  await client.read((text) => text.length >= requests * answerLength(text));
  expect(client.text.match(/HTTP\/1\.1 404 /g)).toHaveLength(requests);
  expect(await counters()).toMatchObject({ readTimeouts: 0, idleTimeouts: 0 });
  await clock.advance(2 * idleMs);
  await client.readAll();
  expect(await counters()).toMatchObject({ readTimeouts: 0, idleTimeouts: 1 });
  client.close();
});

/** They are all the same. */
function answerLength(text: string): number {
  const second = text.indexOf('HTTP/1.1', 1);
  return second === -1 ? Number.POSITIVE_INFINITY : second;
}

const idleMs = 1000;
// Their answers are more than the kernel's buffers of both ends and the connection's own hold.
const requests = 60_000;
